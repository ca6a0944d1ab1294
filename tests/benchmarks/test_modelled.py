"""GPUs that are modelled: kernels of a text, rates fitted to them, and landscapes of both."""

import math
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from benchmarks import landscape as landscapes
from benchmarks import recorded, replay
from benchmarks.gymnax_env import make_gymnax_env
from benchmarks.modelled import hlo, loops, programs, seen, speeds
from benchmarks.modelled.__main__ import main
from benchmarks.modelled.roofline import Observed, Rates, Work, card, fit, left_out, work_of
from benchmarks.search_runs import FOLDER, measured
from trainables.jax_workload import JaxWorkload

HEAD = "HloModule jit_update, is_scheduled=true\n\n"
LINE = "ENTRY %main (x: f32[8]) -> f32[8] {{\n{}\n}}\n"
MODELS = sorted(FOLDER.glob("model-*.json"))

STORED = """\
%fused (p.0: f32[128,512], p.1: f32[512], p.2: s32[]) -> f32[128,512] {
  %p.0 = f32[128,512]{1,0} parameter(0)
  %p.1 = f32[512]{0} parameter(1)
  %p.2 = s32[] parameter(2)
  %b = f32[1,512]{1,0} bitcast(%p.1)
  %z = s32[] constant(0)
  ROOT %u = f32[128,512]{1,0} dynamic-update-slice(%p.0, %b, %p.2, %z)
}

"""
GATHERED = """\
%fused (p.0: f32[97500,5], p.1: s32[512,1]) -> f32[512,5] {
  %p.0 = f32[97500,5]{1,0} parameter(0)
  %p.1 = s32[512,1]{1,0} parameter(1)
  ROOT %g = f32[512,5]{1,0} gather(%p.0, %p.1), offset_dims={1}, slice_sizes={1,5}
}

"""
PRODUCT = """\
%fused (p.0: f32[512,64], p.1: f32[64,256]) -> f32[512,256] {
  %p.0 = f32[512,64]{1,0} parameter(0)
  %p.1 = f32[64,256]{1,0} parameter(1)
  ROOT %d = f32[512,256]{1,0} dot(%p.0, %p.1), lhs_contracting_dims={1}, rhs_contracting_dims={0}
}

"""
FUSION = "  ROOT %f = {} fusion(%x, %y), kind=kLoop, calls=%fused"


@pytest.mark.parametrize(
    ("text", "moved", "flops"),
    [
        pytest.param(
            HEAD + STORED + LINE.format(FUSION.format("f32[128,512]{1,0}")),
            4 + 2 * 4 * 512,
            0,
            id="a record that is stored in place costs its own bytes",
        ),
        pytest.param(
            HEAD + GATHERED + LINE.format(FUSION.format("f32[512,5]{1,0}")),
            4 * 512 + 2 * 4 * 512 * 5,
            0,
            id="a table that is gathered from costs the rows",
        ),
        pytest.param(
            HEAD + PRODUCT + LINE.format(FUSION.format("f32[512,256]{1,0}")),
            4 * (512 * 64 + 64 * 256 + 512 * 256),
            2 * 512 * 64 * 256,
            id="a product in a fusion",
        ),
        pytest.param(
            HEAD
            + LINE.format(
                "  %x = f32[512,64]{1,0} parameter(0)\n  %y = f32[64,256]{1,0} parameter(1)\n"
                "  ROOT %d = (f32[512,256]{1,0}, s8[1024]{0}) custom-call(%x, %y), "
                'custom_call_target="__cublas$gemm", backend_config={"dot_dimension_numbers":'
                '{"lhs_contracting_dimensions":["1"]}}'
            ),
            4 * (512 * 64 + 64 * 256 + 512 * 256) + 1024,
            2 * 512 * 64 * 256,
            id="a product of cuBLAS",
        ),
        pytest.param(
            HEAD
            + LINE.format(
                "  %x = f32[64,10,10,4]{3,2,1,0} parameter(0)\n"
                "  %y = f32[3,3,4,16]{3,2,1,0} parameter(1)\n"
                "  ROOT %c = f32[64,8,8,16]{3,2,1,0} convolution(%x, %y), window={size=3x3}, "
                "dim_labels=b01f_01io->b01f"
            ),
            4 * (64 * 400 + 576 + 64 * 64 * 16),
            2 * 64 * 8 * 8 * 16 * 9 * 4,
            id="a convolution",
        ),
        pytest.param(
            HEAD
            + LINE.format(
                "  %x = u32[65536]{0} parameter(0)\n"
                "  ROOT %s = u32[65536]{0} sort(%x), dimensions={0}, to_apply=%less"
            ),
            4 * 2 * 4 * 65536,
            0,
            id="a sort of four passes",
        ),
        pytest.param(
            HEAD
            + LINE.format(
                "  %x = (bf16[8], pred[4]) parameter(0)\n"
                "  %g = bf16[8]{0} get-tuple-element(%x), index=0\n"
                "  ROOT %c = bf16[8]{0} copy(%g)"
            ),
            2 * 2 * 8,
            0,
            id="bfloat16 out of a tuple",
        ),
    ],
)
def test_a_kernel_costs_the_bytes_that_it_has_to_move(text: str, moved: int, flops: int) -> None:
    (kernel,) = hlo.program(text).kernels
    assert (kernel.times, kernel.bytes, kernel.flops) == (1, moved, flops)


def test_what_is_no_program_is_refused() -> None:
    with pytest.raises(ValueError, match="no ENTRY"):
        hlo.program("HloModule nothing\n")


def test_each_kernel_is_bound_by_memory_or_by_products_of_its_card() -> None:
    kernels = [
        hlo.DeviceKernel(opcode="fusion", times=10, bytes=3e9, flops=0.0),
        hlo.DeviceKernel(opcode="fusion", times=1, bytes=3e6, flops=60e12),
    ]
    work = work_of(kernels, card("L4"))
    assert (work.num_kernels, work.launches) == (2, 11)
    assert work.bound_s == pytest.approx(10 * 0.01 + 1.0)


def of(launches: int, bound_s: float) -> Work:
    return Work(num_kernels=1, launches=launches, bytes=0.0, flops=0.0, bound_s=bound_s)


def test_the_rates_are_found_again() -> None:
    rates = Rates(launch_s=2e-6, efficiency=0.5)
    work = [of(5000, 0.001), of(8000, 0.01), of(6000, 0.1)]
    taken = [
        Observed(program="", work=one, update_s=rates.update_s(one), launches=0, flops=0)
        for one in work
    ]
    found = fit(taken)
    assert (found.launch_s, found.efficiency) == pytest.approx((2e-6, 0.5))
    assert left_out(taken) == pytest.approx([0.0] * 3, abs=1e-9)


def test_the_model_is_within_a_tenth_of_each_program_that_it_was_not_fitted_to() -> None:
    assert max(map(abs, left_out(seen.observed()))) < 0.1


def test_what_is_read_off_a_text_is_what_the_record_counted_on_that_day() -> None:
    """Its launches were counted from another version's program, its operations before XLA."""
    for one in seen.observed():
        assert one.work.launches == pytest.approx(one.launches, rel=0.02), one.program
        assert one.work.flops == pytest.approx(one.flops, rel=0.001), one.program


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_is_what_its_programs_make_and_says_what_it_is(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = programs.PROGRAMS / path.name.removeprefix("model-")
    made = speeds.landscape(programs.read(source), fit(seen.observed()))
    found = recorded.read(path)
    assert found.is_model
    assert recorded.true_speeds(found) == pytest.approx(recorded.true_speeds(made), rel=1e-4)
    assert (found.axes, found.baseline) == (made.axes, made.baseline)
    landscapes.show(path)
    assert "not measured" in capsys.readouterr().out
    assert path not in measured()


def test_there_is_a_model_of_each_workload_on_each_card() -> None:
    found = {path.stem for path in MODELS}
    workloads, cards = ("phase1", "pixels", "physics"), ("l4", "rtx-4090", "h100")
    assert found == {f"model-{name}-{gpu}" for name in workloads for gpu in cards}


def test_a_replay_of_a_model_is_as_noisy_as_it_says() -> None:
    found = recorded.read(MODELS[0])
    scene = replay.replay("model", found)
    deviations = scene.deviations
    assert math.sqrt(sum(x * x for x in deviations) / len(deviations)) == pytest.approx(
        found.about["noise_sd"], rel=0.05
    )
    assert scene.best_speed in recorded.true_speeds(found).values()


def test_the_rates_are_printed_beside_what_was_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["rates"]) == 0
    said = capsys.readouterr().out
    assert "us per launch" in said
    assert len(said.splitlines()) == 4 + len(seen.observed())


@pytest.mark.parametrize(
    "words",
    [("compile", "--workload", "pixels", "--card", "L4"), ("compile-seen", "--commit", "abc")],
)
def test_without_the_cuda_plugin_it_says_what_to_install(
    words: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        if "cuda" in name:
            raise metadata.PackageNotFoundError(name)
        return "0.10.2"

    monkeypatch.setattr(metadata, "version", version)
    place = ("--folder" if words[0] == "compile" else "--out", str(tmp_path))
    assert main([*words, *place]) == 2
    assert "jax-cuda13-plugin is not installed: python -m pip" in capsys.readouterr().err


def test_a_grid_of_another_kind_is_not_gone_on_with(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "version", lambda _: "9.9")
    (tmp_path / "pixels-l4.json").write_text((programs.PROGRAMS / "pixels-l4.json").read_text())
    words = ["--workload", "pixels", "--card", "L4", "--folder", str(tmp_path)]
    assert main(["compile", *words]) == 2
    assert "of another grid" in capsys.readouterr().err


@pytest.mark.parametrize("build", [loops.pixels, loops.physics])
def test_the_trainings_that_are_modelled_train(build: Callable[..., JaxWorkload]) -> None:
    config = {"num_envs": 4, "num_steps": 4, "batch_size": 8, "num_epochs": 1}
    workload = build(config, {})
    program = workload.compile()
    workload.run(1)
    before = workload.fingerprint()
    workload.run(1)
    assert program.flops_per_update
    assert workload.fingerprint() != before
    assert all(math.isfinite(value) for value in workload.health().values())


def test_an_action_holds_until_the_episode_ends() -> None:
    """A cart that is pushed to one side falls after about ten steps: all of them are one here."""
    bare = make_gymnax_env("CartPole-v1")
    env = loops.Held(env=bare.env, params=bare.params)
    state = env.reset(jax.random.key(0))
    _, reward, done = env.step(jax.random.key(1), state, jnp.int32(1))
    assert bool(done)
    assert 8 <= float(reward) <= 12, "as many steps as it stood, not the 32 for which it is held"
