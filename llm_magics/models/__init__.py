"""The shared model manager: references, the catalogue, safe loading, leases, batched generation.

This package root imports nothing, so that a magic can parse a reference before torch is loaded:

    light, standard library only
        reference.py    what a user types -> Reference, and where its files are
        catalog.py      languages, and which model for which task (catalog.toml, read by catalog_entries.py)
        hub_cache.py    the local cache, and whether the hub answers
    judging what strangers wrote
        safe_files.py   JSON of bounded size from regular files inside a folder
        weights.py      which weight files a folder has, and what their headers promise
        inspection.py   a model folder is judged before it is opened
        boundary.py     other libraries' errors become ours
    loading
        hub.py          what the hub has, and fetching it
        house.py        this project's own model folders, with house_tokenizer.py
        loaded.py       LoadedModel: a module, its tokenizer and what is known about them
        loading.py      reference -> LoadedModel, under one process-wide lock; adopt.py for notebook variables
    sharing
        device.py       which device, how much memory, which number format
        budget.py       how many bytes a device may hold, and who makes room
        ledger.py       what is written down about each model; plans.py what a load would take
        shelf.py        who is there, who has stood idle too long
        manager.py      ModelManager: leases, single flight, the table of models
    generating
        batches.py      sentences -> batches of similar length
        encoding.py     sources -> token ids; chat.py and chat_render.py for chat templates
        generation.py   sources -> Generation, with decode_transformers.py and decode_house.py for one batch
        decode_lean.py  what `generate` of transformers would write, in a loop of our own: decode_lean_rules.py (settings),
                        decode_lean_beams.py and decode_lean_ancestry.py (beam search),
                        decode_lean_seq2seq.py and decode_lean_causal.py (the models),
                        decode_lean_attention.py (few queries, many keys)
        linear.py       linear layers by the fastest kernel; precision.py for those of int8
        engine.py       torch or CTranslate2: conversion.py and conversion_store.py make and keep what ctranslate2_model.py
                        opens and decode_ctranslate2.py decodes
        continuation.py prompts -> texts that go on, with continue_house.py and
        continue_transformers.py for one batch,
                        drawing.py (the next token) and stop_strings.py (where a text ends)
    reading
        next_tokens.py  the probability of every token, and what the model would rather have said
        spans.py, token_labels.py, classify.py, embed.py    answers, names, classes and vectors, over windows.py
    at an endpoint
        endpoint.py     where it is, and its key; remote_loop.py, remote_chat.py and remote_errors.py ask it
        remote.py       RemoteModel, used like a loaded one; remote_continue.py, remote_models.py and remote_shelf.py
"""  # noqa: E501  a table or a pattern
