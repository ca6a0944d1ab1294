"""A causal language model that answers contexts in batches, on the trial's device.

It is loaded from safetensors or GGUF only. Answers are greedy: the same context gets the same
answer, so a cache saves time and changes nothing else.
"""

import contextlib
import copy
import dataclasses
import errno
import importlib.util
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    GenerationConfig,
)
from transformers.utils import logging as transformers_logging

from trainables.pytorch_phase3 import advice, unpacking
from trainables.pytorch_phase3.advice import MAX_NEW_TOKENS, MarketContext
from trainables.pytorch_phase3.advisor import Answers
from trainables.pytorch_phase3.options import QUANTIZED_BITS
from trainables.pytorch_phase3.sources import Source
from trainables.workload import WorkloadInputError


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A model whose configuration was read and whose weights were not.

    `location` is for `from_pretrained`; `dtype` is the dtype of computations; `quantized` is one of
    QUANTIZED_BITS or `None`.
    """

    source: Source
    location: str
    config: Any
    dtype: torch.dtype
    quantized: str | None


def find(source: Source, *, dtype: str, device: torch.device, unpacked: Path) -> Found:
    """Read the model's configuration. Nothing is put on the device.

    A GGUF file is converted to safetensors the first time, see `unpacking`.

    Raises:
        WorkloadInputError: if it is missing or corrupt, the hub cannot be reached, or the dtype
            needs a package that is not installed.
    """
    quantized = dtype if dtype in QUANTIZED_BITS else None
    if quantized and importlib.util.find_spec("bitsandbytes") is None:
        raise WorkloadInputError(
            f"llm_dtype {dtype} needs bitsandbytes: pip install bitsandbytes, or choose another."
        )
    is_named = dtype != "auto" and not quantized
    computed_in = getattr(torch, dtype) if is_named else _fastest_dtype(device)
    transformers_logging.set_verbosity_error()  # its hints would pass for the cause of a death
    transformers_logging.disable_progress_bar()
    with _errors_in_words(source):
        location = source.location
        if source.gguf_file is not None:
            path = Path(source.location, source.gguf_file)
            location = str(unpacking.unpack(path, dtype=computed_in, folder=unpacked))
        config = AutoConfig.from_pretrained(location)
    return Found(
        source=source,
        location=location,
        config=config,
        dtype=computed_in,
        quantized=quantized,
    )


def _fastest_dtype(device: torch.device) -> torch.dtype:
    if device.type != "cuda":
        return torch.float32
    # Before Ampere torch emulates bfloat16, and takes longer for it than for float32.
    has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if has_bfloat16 else torch.float16


class LanguageModel:
    """A model on its device, ready to answer; see `load`.

    All questions begin alike: the instruction and the examples are nine tenths of a prompt. Their
    keys and values are computed once and shared by every row of every batch. That made 16 answers
    of SmolLM2-135M on 2 CPU cores 4.5 times as fast (6.6 s without, 1.4 s with).
    """

    def __init__(self, model: Any, tokenizer: Any, device: torch.device):
        self._model = model
        self._tokenizer = tokenizer
        self._device = device
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "left"  # answers then begin at one position, whatever the length
        model.generation_config = GenerationConfig(
            do_sample=False,
            max_new_tokens=MAX_NEW_TOKENS,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
        self._prefix, self._prefix_cache = self._read_prefix()

    def prompt(self, context: MarketContext) -> str:
        """Return the text that the model continues."""
        if self._tokenizer.chat_template is None:
            return advice.plain_prompt(context)
        text = self._tokenizer.apply_chat_template(
            advice.conversation(context), tokenize=False, add_generation_prompt=True
        )
        return str(text)

    def answer(self, contexts: Sequence[MarketContext]) -> Answers:
        """Answer all contexts in one batch."""
        rows = [self._tokens(context) for context in contexts]
        shared = len(self._prefix)
        if any(row[:shared] != self._prefix for row in rows):
            shared = 0  # a tokenizer that merges across the seam: slower, never wrong
        ends = self._tokenizer.pad(
            {"input_ids": [row[shared:] for row in rows]}, return_tensors="pt"
        )
        prefix = torch.tensor(self._prefix[:shared], dtype=torch.long).expand(len(rows), -1)
        ids = torch.cat([prefix, ends["input_ids"]], dim=1).to(self._device)
        mask = torch.cat([torch.ones_like(prefix), ends["attention_mask"]], dim=1).to(self._device)
        cache = None
        if shared:
            cache = copy.deepcopy(self._prefix_cache)  # generating grows it
            cache.batch_repeat_interleave(len(rows))
        with torch.inference_mode():
            out = self._model.generate(input_ids=ids, attention_mask=mask, cache=cache)
        answers = out[:, ids.shape[1] :].cpu()
        texts = self._tokenizer.batch_decode(answers, skip_special_tokens=True)
        num_tokens = int((answers != self._tokenizer.pad_token_id).sum())
        return Answers(texts=texts, num_tokens=num_tokens)

    def _tokens(self, context: MarketContext) -> list[int]:
        has_template = self._tokenizer.chat_template is not None  # it writes its own special tokens
        tokens = self._tokenizer(self.prompt(context), add_special_tokens=not has_template)
        return list(tokens["input_ids"])

    def _read_prefix(self) -> tuple[list[int], Any]:
        """Return the tokens that all questions begin with, and their keys and values."""
        first, second = (self._tokens(context) for context in advice.EXTREMES)
        shared = itertools.takewhile(
            lambda pair: pair[0] == pair[1], zip(first, second, strict=False)
        )
        prefix = [token for token, _ in shared]
        if not prefix:
            return [], None
        with torch.inference_mode():
            ids = torch.tensor([prefix], device=self._device)
            return prefix, self._model(input_ids=ids, use_cache=True).past_key_values


def load(found: Found, device: torch.device) -> LanguageModel:
    """Load weights and tokenizer onto the device.

    Raises:
        WorkloadInputError: if weights or tokenizer are missing, corrupt or incomplete.
    """
    with _errors_in_words(found.source):
        tokenizer = AutoTokenizer.from_pretrained(found.location)
        model, loading = AutoModelForCausalLM.from_pretrained(
            found.location,
            dtype=found.dtype,
            device_map={"": device},
            quantization_config=_quantization(found),
            use_safetensors=True,  # a pickle can run code
            output_loading_info=True,
        )
    if loading["missing_keys"]:  # else these weights would be random, and nobody would know
        raise WorkloadInputError(
            f"the language model {found.source.name} lacks {len(loading['missing_keys'])} of its "
            f"weights, {sorted(loading['missing_keys'])[0]} among them; download it again."
        )
    return LanguageModel(model.eval(), tokenizer, device)


def _quantization(found: Found) -> BitsAndBytesConfig | None:
    if found.quantized is None:
        return None
    return BitsAndBytesConfig(
        load_in_8bit=found.quantized == "8bit",
        load_in_4bit=found.quantized == "4bit",
        bnb_4bit_compute_dtype=found.dtype,
    )


@contextlib.contextmanager
def _errors_in_words(source: Source) -> Iterator[None]:
    """Turn the errors of transformers for a bad model into one sentence; memory errors stay."""
    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        if isinstance(error, OSError) and error.errno in {errno.ENOMEM, errno.ENOSPC}:
            raise
        reason = " ".join(str(error).split()) or repr(error)
        where = "" if source.is_local else " (is the name right, and can the hub be reached?)"
        raise WorkloadInputError(
            f"the language model {source.name} cannot be loaded{where}: {reason[:300]}"
        ) from error
