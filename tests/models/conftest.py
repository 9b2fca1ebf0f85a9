"""Tiny models of every family, built on the spot: random weights, tokenizers trained on a few
sentences."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

ENGLISH = [
    "The cat sat on the mat.",
    "A small dog runs in the park.",
    "Where is the station?",
    "I do not know.",
    "We read a good book about the sea.",
    "She sings and he plays the piano.",
    "It is raining again today.",
]
GERMAN = [
    "Die Katze sass auf der Matte.",
    "Ein kleiner Hund rennt im Park.",
    "Wo ist der Bahnhof?",
    "Ich weiss es nicht.",
    "Wir lesen ein gutes Buch ueber das Meer.",
    "Sie singt und er spielt Klavier.",
    "Heute regnet es wieder.",
]
CHAT_TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|> {{ message.content }} </s>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|> {% endif %}"
)


def train_pieces(folder: Path, name: str, lines: list[str], vocab_size: int = 120) -> Path:
    """A sentencepiece model trained on `lines`: folder/name."""
    import sentencepiece

    corpus, prefix = folder / f"{name}.txt", folder / name.replace(".", "-")
    corpus.write_text("\n".join(lines * 5), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus),
        model_prefix=str(prefix),
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        minloglevel=2,
        num_threads=1,
    )
    corpus.unlink()
    prefix.with_suffix(".vocab").unlink()
    return prefix.with_suffix(".model").rename(folder / name)


def pieces_of(model: Path) -> list[str]:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    return [processor.id_to_piece(index) for index in range(processor.get_piece_size())]


def fast_tokenizer(special: list[str], lines: list[str] | None = None):
    """A byte-pair tokenizer of the `tokenizers` library, special tokens first."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(lines or ENGLISH + GERMAN, trainer)
    return tokenizer


def with_eos(tokenizer, eos: str, bos: str | None = None):
    from tokenizers.processors import TemplateProcessing

    tokens = [(token, tokenizer.token_to_id(token)) for token in (bos, eos) if token]
    start = f"{bos} " if bos else ""
    tokenizer.post_processor = TemplateProcessing(single=f"{start}$A {eos}", special_tokens=tokens)
    return tokenizer


def _seed() -> None:
    import torch

    torch.manual_seed(7)


def _sometimes_end(model, times: float = 2.0) -> None:
    """Makes the ending token likely enough that texts end at different lengths."""
    import torch

    eos = model.generation_config.eos_token_id
    with torch.no_grad():
        model.get_output_embeddings().weight[eos] *= times


def build_marian(folder: Path, prefixes: tuple[str, ...] = ()) -> Path:
    """A Marian model; with `prefixes` such as (">>deu<<", ">>fra<<") it writes several
    languages."""
    from transformers import MarianConfig, MarianMTModel

    folder.mkdir(parents=True)
    source, target = (
        train_pieces(folder, "source.spm", ENGLISH),
        train_pieces(folder, "target.spm", GERMAN),
    )
    words = ["</s>", "<unk>", *prefixes]
    words += [
        piece
        for piece in {**dict.fromkeys(pieces_of(source) + pieces_of(target))}
        if piece not in ("<s>", "</s>", "<unk>")
    ]
    vocabulary = {word: index for index, word in enumerate([*words, "<pad>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "source_lang": "en",
                "target_lang": "de",
                "tokenizer_class": "MarianTokenizer",
                "model_max_length": 512,
            }
        )
    )
    pad = vocabulary["<pad>"]
    _seed()
    model = MarianMTModel(
        MarianConfig(
            vocab_size=len(vocabulary),
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=128,
            pad_token_id=pad,
            eos_token_id=0,
            decoder_start_token_id=pad,
            forced_eos_token_id=0,
            bad_words_ids=[[pad]],
            init_std=0.6,
        )
    )
    _sometimes_end(model)
    model.save_pretrained(folder)
    return folder


def build_m2m(folder: Path) -> Path:
    from transformers import M2M100Config, M2M100ForConditionalGeneration, M2M100Tokenizer

    folder.mkdir(parents=True)
    pieces = train_pieces(folder, "sentencepiece.bpe.model", ENGLISH + GERMAN, 150)
    words = ["<s>", "<pad>", "</s>", "<unk>"]
    words += [piece for piece in pieces_of(pieces) if piece not in words]
    (folder / "vocab.json").write_text(
        json.dumps({word: index for index, word in enumerate(words)}), "utf-8"
    )
    tokenizer = M2M100Tokenizer(str(folder / "vocab.json"), str(pieces))
    tokenizer.save_pretrained(folder)
    _seed()
    model = _m2m_model(M2M100Config, M2M100ForConditionalGeneration, tokenizer.encoder_size + 108)
    _sometimes_end(model)
    model.save_pretrained(folder)
    return folder


def _m2m_model(config_class, model_class, size: int):
    return model_class(
        config_class(
            vocab_size=size,
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=128,
            decoder_start_token_id=2,
            init_std=0.6,
        )
    )


def build_nllb(folder: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

    folder.mkdir(parents=True)
    raw = Tokenizer(models.BPE(unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    raw.train_from_iterator(
        ENGLISH + GERMAN,
        trainers.BpeTrainer(vocab_size=150, special_tokens=special, show_progress=False),
    )
    model = json.loads(raw.to_str())["model"]
    tokenizer = NllbTokenizer(
        vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]]
    )
    tokenizer.save_pretrained(folder)
    _seed()
    model = _m2m_model(M2M100Config, M2M100ForConditionalGeneration, len(tokenizer))
    _sometimes_end(model)
    model.save_pretrained(folder)
    return folder


def build_mbart(folder: Path) -> Path:
    """As mBART-50: the languages are tokens, and a text begins with that of its language."""
    import sentencepiece
    from transformers import MBart50Tokenizer, MBartConfig, MBartForConditionalGeneration

    folder.mkdir(parents=True)
    pieces = train_pieces(folder, "pieces.model", ENGLISH + GERMAN, 150)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    scored = [
        (processor.id_to_piece(i), processor.get_score(i))
        for i in range(processor.get_piece_size())
    ]
    tokenizer = MBart50Tokenizer(vocab=scored, src_lang="en_XX", tgt_lang="de_DE")
    tokenizer.save_pretrained(folder)
    pieces.unlink()
    _seed()
    model = _m2m_model(MBartConfig, MBartForConditionalGeneration, len(tokenizer))
    _sometimes_end(model)
    model.save_pretrained(folder)
    return folder


def build_t5(
    folder: Path,
    config: str = "T5Config",
    model: str = "T5ForConditionalGeneration",
    **options: object,
) -> Path:
    """A T5, by default as Flan-T5: its outputs are not scaled."""
    import transformers
    from transformers import PreTrainedTokenizerFast

    raw = with_eos(fast_tokenizer(["<pad>", "</s>", "<unk>"]), "</s>")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder)
    _seed()
    made = getattr(transformers, model)(
        getattr(transformers, config)(
            **{
                "vocab_size": len(tokenizer),
                "d_model": 32,
                "d_kv": 8,
                "d_ff": 64,
                "num_layers": 2,
                "num_heads": 4,
                "decoder_start_token_id": 0,
                "initializer_factor": 5.0,
                "tie_word_embeddings": False,
                **options,
            }
        )
    )
    _sometimes_end(made)
    made.save_pretrained(folder)
    return folder


def build_first_t5(folder: Path) -> Path:
    """As the first T5: its outputs are scaled, and its layers have no gates."""
    return build_t5(folder, tie_word_embeddings=True)


def build_mt5(folder: Path) -> Path:
    return build_t5(
        folder,
        "MT5Config",
        "MT5ForConditionalGeneration",
        feed_forward_proj="gated-gelu",
        initializer_factor=2.0,
    )


def build_bart(folder: Path) -> Path:
    from transformers import BartConfig, BartForConditionalGeneration, PreTrainedTokenizerFast

    raw = with_eos(fast_tokenizer(["<s>", "<pad>", "</s>", "<unk>"]), "</s>", "<s>")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="<pad>",
        eos_token="</s>",
        bos_token="<s>",
        unk_token="<unk>",
    )
    tokenizer.save_pretrained(folder)
    _seed()
    model = BartForConditionalGeneration(
        BartConfig(
            vocab_size=len(tokenizer),
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=128,
            init_std=0.6,
        )
    )
    _sometimes_end(model)
    model.generation_config.update(num_beams=4, max_length=20, min_length=8, no_repeat_ngram_size=3)
    model.save_pretrained(folder)
    return folder


def build_pegasus(folder: Path) -> Path:
    from transformers import PegasusConfig, PegasusForConditionalGeneration, PreTrainedTokenizerFast

    raw = with_eos(fast_tokenizer(["<pad>", "</s>", "<unk>"]), "</s>")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    tokenizer.save_pretrained(folder)
    _seed()
    model = PegasusForConditionalGeneration(
        PegasusConfig(
            vocab_size=len(tokenizer),
            d_model=32,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=128,
            init_std=0.6,
        )
    )
    _sometimes_end(model)
    model.save_pretrained(folder)
    return folder


def build_llama(folder: Path, chat_template: str | None = CHAT_TEMPLATE) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    roles = ["<|user|>", "<|assistant|>", "<|system|>"]
    raw = fast_tokenizer(["<unk>", "<s>", "</s>", *roles])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="</s>", bos_token="<s>", unk_token="<unk>"
    )
    tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)
    _seed()
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=256,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=None,
            initializer_range=0.6,
        )
    )
    _sometimes_end(model)
    model.generation_config.update(
        do_sample=True, temperature=0.7, top_p=0.9
    )  # as published chat models have it
    model.save_pretrained(folder)
    return folder


def build_bert(folder: Path) -> Path:
    from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

    raw = fast_tokenizer(["<pad>", "<unk>", "<mask>"])
    PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", unk_token="<unk>", mask_token="<mask>"
    ).save_pretrained(folder)
    _seed()
    BertForMaskedLM(
        BertConfig(
            vocab_size=raw.get_vocab_size(),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    ).save_pretrained(folder)
    return folder


def build_house(folder: Path, *, shared: bool = False, dtype: str = "float32") -> Path:
    from llm_magics.models.folder.native import save_native
    from llm_magics.nn.transformer import Seq2SeqModel

    special = ["<pad>", "<s>", "</s>", "<unk>"]
    source = fast_tokenizer(special, ENGLISH + GERMAN if shared else ENGLISH)
    target = source if shared else fast_tokenizer(special, GERMAN)
    arguments = {
        "src_vocab_size": source.get_vocab_size(),
        "tgt_vocab_size": target.get_vocab_size(),
        "d_model": 16,
        "nhead": 2,
        "num_encoder_layers": 1,
        "num_decoder_layers": 2,
        "dim_feedforward": 32,
        "shared_embeddings": shared,
    }
    _seed()
    return save_native(
        folder,
        Seq2SeqModel(**arguments),
        arguments=arguments,
        task="translate",
        source_language="en",
        target_language="de",
        source_tokenizer=source,
        target_tokenizer=target,
        dtype=dtype,
        card="# A tiny model\n",
    )


SENTENCES = [
    "Angela Merkel met Emmanuel Macron in Berlin on Tuesday.",
    "The film was wonderful, and the music even better!",
    "I don't know; the unbelievably slow service ruined the evening.",
    "San Francisco-based Apple Inc. hired 1,200 people.",
]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def word_pieces(lines: list[str] = SENTENCES):
    """A WordPiece tokenizer as BERT has it, the same at every call (what WordPieceTrainer makes is
    not)."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    splitter = BertPreTokenizer()
    words = sorted({word for line in lines for word, _ in splitter.pre_tokenize_str(line)})
    letters = sorted(set("".join(words)))
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *letters,
        *(f"##{letter}" for letter in letters),
        *words[::3],
    ]
    raw = Tokenizer(
        WordPiece({piece: i for i, piece in enumerate(dict.fromkeys(pieces))}, unk_token="[UNK]")
    )
    raw.pre_tokenizer = splitter
    raw.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def build_encoder(
    folder: Path, head: str = "Model", labels: tuple[str, ...] = (), positions: int = 128
) -> Path:
    """A BERT with WordPiece and, unless it is "Model", the head of that name."""
    import transformers

    tokenizer = word_pieces()
    tokenizer.save_pretrained(folder)
    _seed()
    classes = (
        {
            "id2label": dict(enumerate(labels)),
            "label2id": {name: i for i, name in enumerate(labels)},
        }
        if labels
        else {}
    )
    getattr(transformers, f"Bert{head}")(
        transformers.BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=positions,
            initializer_range=0.4,
            **classes,
        )
    ).save_pretrained(folder)
    return folder


def build_reader(folder: Path) -> Path:
    """A head for answers."""
    return build_encoder(folder, "ForQuestionAnswering")


def build_tagger(folder: Path) -> Path:
    return build_encoder(folder, "ForTokenClassification", tuple(TAGS))


def build_sentiment(folder: Path) -> Path:
    return build_encoder(folder, "ForSequenceClassification", ("negative", "neutral", "positive"))


def build_topics(folder: Path) -> Path:
    return build_encoder(folder, "ForSequenceClassification", ("World", "Sports"))


def build_nli(folder: Path) -> Path:
    return build_encoder(
        folder, "ForSequenceClassification", ("contradiction", "neutral", "entailment")
    )


def build_house_classifier(
    folder: Path, labels: tuple[str, ...] = ("negative", "positive"), **options: object
) -> Path:
    """A classifier of our own as `%train` leaves it; with per_token a tagger."""
    from llm_magics.models.folder.native import save_native
    from llm_magics.nn import TextClassifier

    raw = fast_tokenizer(["<pad>", "<s>", "</s>", "<unk>"], SENTENCES)
    arguments = {
        "vocab_size": raw.get_vocab_size(),
        "n_classes": len(labels),
        "encoder": "gru",
        "d_model": 16,
        **options,
    }
    _seed()
    return save_native(
        folder,
        TextClassifier(**arguments),
        arguments=arguments,
        task="classify",
        source_language="en",
        target_language="en",
        source_tokenizer=raw,
        labels=list(labels),
    )


def build_house_tagger(folder: Path) -> Path:
    return build_house_classifier(folder, tuple(TAGS), per_token=True)


BUILDERS = {
    "marian": build_marian,
    "m2m_100": build_m2m,
    "nllb": build_nllb,
    "mbart": build_mbart,
    "t5": build_t5,
    "first_t5": build_first_t5,
    "mt5": build_mt5,
    "bart": build_bart,
    "pegasus": build_pegasus,
    "llama": build_llama,
    "bert": build_bert,
    "house": build_house,
    "encoder": build_encoder,
    "reader": build_reader,
    "tagger": build_tagger,
    "sentiment": build_sentiment,
    "topics": build_topics,
    "nli": build_nli,
    "house_classifier": build_house_classifier,
    "house_tagger": build_house_tagger,
}


@pytest.fixture(scope="session")
def builders():
    """Family -> the function that builds a tiny model of it in a folder."""
    return BUILDERS


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """models("marian") -> the folder of a tiny model of that family, built once."""
    root = tmp_path_factory.mktemp("models")
    built: dict[str, Path] = {}
    lock = threading.Lock()

    def build(family: str) -> Path:
        with lock:
            if family not in built:
                name = "opus-mt-en-de" if family == "marian" else family
                built[family] = BUILDERS[family](root / name)
            return built[family]

    return build


@pytest.fixture
def copy_of(models, tmp_path):
    """copy_of("marian") -> a copy of that folder, to be damaged."""
    import shutil

    def copy(family: str) -> Path:
        return Path(shutil.copytree(models(family), tmp_path / f"copy-of-{family}"))

    return copy
