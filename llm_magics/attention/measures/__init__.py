"""What attention says, measured: what each head does, what it is worth, and what a text's tokens
add.

One idea a module: `heads` (entropy, distance, roles; `measure` computes them), `induction`,
`ablation`, `norms`, `rollout`, `flow`, `gradients`, `logit_lens`, `alignment`. Each has its
formula, symbols and source in its docstring.
"""

from llm_magics.attention.measures.ablation import importance
from llm_magics.attention.measures.about import About, Measure, ModelMeasure
from llm_magics.attention.measures.alignment import alignment_error, strongest_links
from llm_magics.attention.measures.flow import flow
from llm_magics.attention.measures.gradients import (
    Attribution,
    gradient_times_input,
    integrated_gradients,
)
from llm_magics.attention.measures.heads import MEASURES
from llm_magics.attention.measures.induction import induction_scores, repeated_scores
from llm_magics.attention.measures.logit_lens import LogitLens, logit_lens
from llm_magics.attention.measures.measure import measure, measure_all, measures_of
from llm_magics.attention.measures.models import MODEL_MEASURES
from llm_magics.attention.measures.norms import norm_lens, value_norms
from llm_magics.attention.measures.rollout import rollout

__all__ = [
    "About",
    "Attribution",
    "LogitLens",
    "MEASURES",
    "MODEL_MEASURES",
    "Measure",
    "ModelMeasure",
    "alignment_error",
    "flow",
    "gradient_times_input",
    "importance",
    "induction_scores",
    "integrated_gradients",
    "logit_lens",
    "measure",
    "measure_all",
    "measures_of",
    "norm_lens",
    "repeated_scores",
    "rollout",
    "strongest_links",
    "value_norms",
]
