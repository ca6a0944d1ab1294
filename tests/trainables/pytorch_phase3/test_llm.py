"""Language models: found, refused in one sentence, predicted, and asked in batches."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("torch", reason="Phase 3 needs torch (extra torch)")
pytest.importorskip("transformers", reason="Phase 3 needs transformers (extra torch)")

import torch

import tiny_llm
from trainables.pytorch_phase3 import advice, llm, memory, sources
from trainables.pytorch_phase3.llm import LanguageModel
from trainables.pytorch_phase3.options import QUANTIZED_BITS
from trainables.workload import WorkloadInputError

CPU = torch.device("cpu")
CONTEXTS = [
    (trend, momentum, rsi, 1, 2, 1)
    for trend, momentum, rsi in [(0, 0, 20), (1, 3, 45), (4, 4, 80), (2, 2, 50), (3, 0, 100)]
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llm.make(tmp_path_factory.mktemp("tiny"))


def find(location: Path | str, unpacked: Path = Path("/nonexistent"), **options: str) -> llm.Found:
    source = sources.resolve(str(location))
    assert source is not None
    return llm.find(source, **({"dtype": "auto"} | options), device=CPU, unpacked=unpacked)


def load(location: Path | str) -> LanguageModel:
    return llm.load(find(location), CPU)


@pytest.fixture
def model(folder: Path) -> LanguageModel:
    return load(folder)


def test_a_batch_answers_as_one_by_one_would(model: LanguageModel) -> None:
    together = model.answer(CONTEXTS)
    alone = [model.answer([context]).texts[0] for context in CONTEXTS]
    assert together.texts == alone
    assert len(set(alone)) > 1, "the model must tell contexts apart for this to mean anything"
    assert together.num_tokens > 0


def test_the_shared_prefix_changes_no_answer(model: LanguageModel) -> None:
    assert len(model._prefix) > 20
    with_prefix = model.answer(CONTEXTS).texts
    model._prefix = []
    assert model.answer(CONTEXTS).texts == with_prefix


def test_a_prompt_that_does_not_begin_like_the_others_is_still_answered(
    model: LanguageModel,
) -> None:
    right = model.answer(CONTEXTS).texts
    model._prefix = [*model._prefix[:-1], 0]
    assert model.answer(CONTEXTS).texts == right


def test_a_model_with_a_chat_template_is_asked_in_its_words(model: LanguageModel) -> None:
    model._tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}> {{ m.content }}\n{% endfor %}<assistant>"
    )
    prompt = model.prompt(CONTEXTS[0])
    assert prompt.endswith(f"<user> {advice.describe(CONTEXTS[0])}\n<assistant>")
    assert prompt.count("<assistant>") == len(advice.EXAMPLES) + 1


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "x"}'), "cannot be"),
        (lambda folder: truncate(folder / "model.safetensors"), "cannot be loaded"),
        (lambda folder: drop_a_weight(folder), "lacks 1 of its weights"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "cannot be loaded"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "model.bin"), "pickled"),
    ],
)
def test_a_broken_model_is_refused_in_one_sentence(
    damage: object, sentence: str, folder: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    damage(broken)  # type: ignore[operator]
    with pytest.raises(WorkloadInputError, match=sentence) as refused:
        load(broken)
    assert "\n" not in str(refused.value)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def drop_a_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("/nowhere/model", "there is no language model /nowhere/model"),
        ("./model", "there is no language model"),
        ("model.gguf", "there is no language model"),
        ("owner/model.gguf", "there is no language model"),
    ],
)
def test_a_model_that_is_not_there_is_named(name: str, sentence: str) -> None:
    with pytest.raises(WorkloadInputError, match=sentence):
        sources.resolve(name)


def test_a_file_that_is_no_gguf_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"<html>404")
    with pytest.raises(WorkloadInputError, match="is not a GGUF file"):
        sources.resolve(str(tmp_path / "model.gguf"))


def test_a_corrupt_gguf_leaves_nothing_unpacked(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(WorkloadInputError, match="cannot be loaded"):
        find(tmp_path / "model.gguf", unpacked=tmp_path / "unpacked")
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_a_hub_that_cannot_be_reached_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WorkloadInputError, match="can the hub be reached"):
        find("nobody-here/no-such-model")


def test_quantised_weights_need_bitsandbytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(WorkloadInputError, match="4bit needs bitsandbytes"):
        find(folder, dtype="4bit")


@pytest.mark.parametrize(("major", "dtype"), [(8, torch.bfloat16), (7, torch.float16)])
def test_a_gpu_computes_in_a_dtype_that_it_does_not_emulate(
    folder: Path, major: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.current_device", lambda: 0)
    monkeypatch.setattr(
        "torch.cuda.get_device_properties", lambda device: SimpleNamespace(major=major)
    )
    monkeypatch.setattr("torch.cuda._check_bf16_tensor_supported", lambda device: True)
    source = sources.resolve(str(folder))
    assert source is not None
    gpu = torch.device("cuda")
    assert llm.find(source, dtype="auto", device=gpu, unpacked=folder).dtype is dtype


@pytest.mark.filterwarnings("ignore:MatMul8bitLt")
@pytest.mark.parametrize("dtype", ["8bit", "4bit"])
def test_quantised_weights_answer_and_take_what_was_predicted(dtype: str, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="8 and 4 bits need bitsandbytes")
    found = find(tiny_llm.make(tmp_path, hidden_size=256), dtype=dtype)
    model = llm.load(found, CPU)
    assert len(model.answer(CONTEXTS).texts) == len(CONTEXTS)
    held = sum(p.numel() * p.element_size() for p in model._model.parameters())
    shape = memory.llm_shape(found.config)
    bits = QUANTIZED_BITS[dtype]
    assert memory.weight_bytes(shape, itemsize=4, bits=bits) == pytest.approx(held, rel=0.02)


def test_none_is_no_model() -> None:
    assert sources.resolve("none") is None


@pytest.mark.parametrize(("dtype", "itemsize"), [("float32", 4), ("bfloat16", 2)])
def test_predicted_weights_are_the_models(folder: Path, dtype: str, itemsize: int) -> None:
    found = find(folder, dtype=dtype)
    shape = memory.llm_shape(found.config)
    weights = llm.load(found, CPU)._model.parameters()
    assert shape.num_parameters * itemsize == sum(p.numel() * p.element_size() for p in weights)


def test_the_predicted_kv_cache_is_the_caches(model: LanguageModel, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    shape = memory.llm_shape(find(folder).config)
    held = sum(layer.keys.numel() + layer.values.numel() for layer in model._prefix_cache.layers)
    per_token = 2 * shape.num_layers * shape.num_kv_heads * shape.head_size
    assert held == per_token * len(model._prefix)
    assert shape.num_kv_heads == config["num_key_value_heads"] == 2


def test_more_questions_and_larger_batches_are_predicted_to_need_more(folder: Path) -> None:
    found = find(folder)

    def predict(num_envs: int, batch_size: int) -> int:
        return memory.predict(found, num_envs=num_envs, batch_size=batch_size, device=CPU)

    assert predict(8, 256) < predict(32, 256) < predict(32, 1024)
    assert memory.predict(None, num_envs=8, batch_size=256, device=CPU) < predict(8, 256)


def test_prompts_fit_into_the_room_that_is_predicted_for_them(model: LanguageModel) -> None:
    assert all(len(model._tokens(context)) < memory.PROMPT_TOKENS for context in CONTEXTS)
