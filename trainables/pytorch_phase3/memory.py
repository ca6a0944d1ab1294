"""Device bytes of a Phase 3 trial, predicted before anything is loaded. Pure arithmetic.

The language model: its weights, the KV cache of one batch of questions, and the largest
activations of reading them. The policy: parameters with gradients and Adam's moments, and the
activations of one minibatch; Stable-Baselines3 keeps the rollout on the host.
"""

import dataclasses
import itertools
import typing
from typing import Any

import torch

from trainables.pytorch_phase3.advice import MAX_NEW_TOKENS
from trainables.pytorch_phase3.advisor import ADVICE_SIZE
from trainables.pytorch_phase3.market_env import OBSERVATION_SIZE
from trainables.pytorch_phase3.options import QUANTIZED_BITS
from trainables.pytorch_phase3.policy import HIDDEN_SIZES

if typing.TYPE_CHECKING:
    from trainables.pytorch_phase3.llm import Found

PROMPT_TOKENS = 256
"""Tokens of a question with its examples: SmolLM2's tokenizer needs 205, coarser ones more."""

_FLOAT = 4
_ADAM_COPIES = 4  # parameter, gradient, two moments
_CUBLAS_BYTES = 64 * 2**20  # its workspaces come out of the same allocator


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LlmShape:
    """Sizes of a causal language model. Embeddings are those of input and output."""

    num_parameters: int
    num_embedding_parameters: int
    num_layers: int
    num_kv_heads: int
    head_size: int
    hidden_size: int
    intermediate_size: int
    vocabulary_size: int


def llm_shape(config: Any) -> LlmShape:
    """Count the parameters of a configuration on torch's meta device: nothing is allocated."""
    from transformers import AutoModelForCausalLM  # with --llm none it may be absent

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    ends = (model.get_input_embeddings().weight, model.get_output_embeddings().weight)
    embeddings = {id(weight): weight for weight in ends}.values()  # often they are one and the same
    text = config.get_text_config()
    num_heads = text.num_attention_heads
    return LlmShape(
        num_parameters=sum(parameter.numel() for parameter in model.parameters()),
        num_embedding_parameters=sum(weight.numel() for weight in embeddings),
        num_layers=text.num_hidden_layers,
        num_kv_heads=getattr(text, "num_key_value_heads", None) or num_heads,
        head_size=getattr(text, "head_dim", None) or text.hidden_size // num_heads,
        hidden_size=text.hidden_size,
        intermediate_size=getattr(text, "intermediate_size", None) or 4 * text.hidden_size,
        vocabulary_size=text.vocab_size,
    )


def weight_bytes(shape: LlmShape, *, itemsize: int, bits: int | None) -> int:
    """Return the bytes of all parameters. `bits` are of the quantised ones, never embeddings."""
    if bits is None:
        return shape.num_parameters * itemsize
    quantised = shape.num_parameters - shape.num_embedding_parameters
    return shape.num_embedding_parameters * itemsize + quantised * bits // 8


def llm_bytes(shape: LlmShape, *, itemsize: int, bits: int | None, num_questions: int) -> int:
    """Return the bytes of weights, KV cache and activations for `num_questions` in one batch.

    `itemsize` is of the dtype of computations; for `bits` see `weight_bytes`.
    """
    weights = weight_bytes(shape, itemsize=itemsize, bits=bits)
    tokens = num_questions * (PROMPT_TOKENS + MAX_NEW_TOKENS)
    kv_cache = 2 * shape.num_layers * shape.num_kv_heads * shape.head_size * tokens * itemsize
    # Residual, norm, queries, keys, values, attention's output; gate, up, and their product.
    per_token = 6 * shape.hidden_size + 3 * shape.intermediate_size
    logits = num_questions * shape.vocabulary_size * (itemsize + 2 * _FLOAT)
    return weights + kv_cache + tokens * per_token * itemsize + logits


def policy_bytes(*, batch_size: int, has_advice: bool) -> int:
    """Return the bytes of actor, critic, Adam and one minibatch's activations in both passes."""
    first = OBSERVATION_SIZE + (ADVICE_SIZE if has_advice else 0)
    sizes = (first, *HIDDEN_SIZES)
    num_parameters = 2 * sum(a * b + b for a, b in itertools.pairwise(sizes))
    activations = batch_size * (first + 2 * 2 * sum(HIDDEN_SIZES)) * _FLOAT
    return _ADAM_COPIES * _FLOAT * num_parameters + 2 * activations


def predict(found: "Found | None", *, num_envs: int, batch_size: int, device: torch.device) -> int:
    """Return the device bytes of a trial: its allocator's peak."""
    total = policy_bytes(batch_size=batch_size, has_advice=found is not None)
    if device.type == "cuda":
        total += _CUBLAS_BYTES
    if found is None:
        return total
    bits = QUANTIZED_BITS[found.quantized] if found.quantized else None
    return total + llm_bytes(
        llm_shape(found.config),
        itemsize=found.dtype.itemsize,
        bits=bits,
        num_questions=num_envs,
    )
