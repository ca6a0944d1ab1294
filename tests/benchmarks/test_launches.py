"""The launches of a program, counted from its text."""

import pytest

from benchmarks.launches import count

TRIPS = '"known_trip_count":{{"n":"{}"}}'
PROGRAM = """\
HloModule jit_update, is_scheduled=true

%fused (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %n = f32[8]{0} negate(%p)
}

%inner_body (t: (s32[], f32[8])) -> (s32[], f32[8]) {
  %t = (s32[], f32[8]{0}) parameter(0)
  %g = f32[8]{0} get-tuple-element(%t), index=1
  %f = f32[8]{0} fusion(%g), kind=kLoop, calls=%fused
  %i = s32[] get-tuple-element(%t), index=0
  %c.1 = s32[] copy(%i)
  ROOT %r = (s32[], f32[8]{0}) tuple(%c.1, %f)
}

%cond (t: (s32[], f32[8])) -> pred[] {
  %t = (s32[], f32[8]{0}) parameter(0)
  %i = s32[] get-tuple-element(%t), index=0
  %n = s32[] constant(4)
  ROOT %l = pred[] compare(%i, %n), direction=LT
}

%outer_body (t: (s32[], f32[8])) -> (s32[], f32[8]) {
  %t = (s32[], /*index=1*/f32[8]{0}) parameter(0)
  %w = (s32[], f32[8]{0}) while(%t), condition=%cond, body=%inner_body, backend_config={FOUR}
  %g = f32[8]{0} get-tuple-element(%w), index=1
  %d = (f32[8]{0}, s8[16]{0}) custom-call(%g), custom_call_target="__cublas$gemm"
  %a = f32[8]{0} custom-call(), custom_call_target="AllocateBuffer"
  ROOT %r = (s32[], f32[8]{0}) tuple(%w, %g)
}

%one (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  ROOT %c = f32[8]{0} copy(%p)
}

%two (p: f32[8]) -> f32[8] {
  %p = f32[8]{0} parameter(0)
  %s = f32[8]{0} sort(%p), dimensions={0}, to_apply=%fused
  ROOT %c = f32[8]{0} copy(%s)
}

ENTRY %main (x: f32[8]) -> f32[8] {
  %x = f32[8]{0} parameter(0)
  %k = s32[] constant(0)
  %t = (s32[], f32[8]{0}) tuple(%k, %x)
  %w = (s32[], f32[8]{0}) while(%t), condition=%cond, body=%outer_body, backend_config={TEN}
  %g = f32[8]{0} get-tuple-element(%w), index=1
  %b = f32[8]{0} conditional(%k, %g, %g), branch_computations={%one, %two}
  %q = f32[8]{0} call(%b), to_apply=%one
  ROOT %z = f32[8]{0} fusion(%q), kind=kLoop, calls=%fused
}
""".replace("FOUR", TRIPS.format(4)).replace("TEN", TRIPS.format(10))


def test_loops_count_by_their_trips_and_a_branch_as_its_longest() -> None:
    found = count(PROGRAM)
    assert found.by_kind == {
        "fusion": 10 * 4 + 1,
        "copy": 10 * 4 + 1 + 1,
        "custom-call": 10,
        "sort": 1,
    }
    assert (found.total, found.unknown_loops) == (94, 0)


def test_a_loop_of_unknown_trips_counts_once_and_is_said() -> None:
    found = count(PROGRAM.replace(TRIPS.format(10), ""))
    assert (found.by_kind["custom-call"], found.unknown_loops) == (1, 1)


def test_another_text_is_refused() -> None:
    with pytest.raises(ValueError, match="no ENTRY"):
        count("ENTRY nothing")
