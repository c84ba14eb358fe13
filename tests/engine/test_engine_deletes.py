"""What is deleted when, and by whom: levels, what goes with another, and what was cut off before."""

from __future__ import annotations

from engine_harness import Lab

TOWERS = """
r0 = Lab('r0', v=1)
r1 = Lab('r1', of=r0.made)
r2 = Lab('r2', of=r1.made)
r3 = Lab('r3', of=r2.made)
r4 = Lab('r4', of=r3.made)
s0 = Lab('s0', v=1)
s1 = Lab('s1', of=s0.made, fail={fail!r})
"""


async def test_deletions_go_level_by_level_and_a_failure_leaves_the_levels_below(lab: Lab) -> None:
    await lab.up(TOWERS.format(fail="delete"))
    assert not (await lab.destroy()).succeeded
    deleted = lab.calls("delete")
    assert deleted[:3] == ["delete r4", "delete r3", "delete r2"]
    assert sorted(deleted[3:]) == ["delete r1", "delete s1"]
    assert lab.names() == ["r0", "s0", "s1"]


async def test_where_errors_do_not_stop_it_only_what_the_failed_one_needs_stays(lab: Lab) -> None:
    await lab.up(TOWERS.format(fail="delete"))
    assert not (await lab.destroy(continue_on_error=True)).succeeded
    assert lab.names() == ["s0", "s1"]


async def test_a_protected_resource_keeps_what_it_needs_and_the_rest_goes(lab: Lab) -> None:
    await lab.up("a = Lab('a', v=1)\nb = Lab('b', Options(protect=True), of=a.made)\nLab('c', of=b.made)\nLab('d', v=1)")
    assert not (await lab.destroy()).succeeded
    assert lab.names() == ["a", "b"]


GOES_WITH = """
root = Lab('root', replace_size={size}, first={first}, fail={fail!r})
Lab('part', Options(deleted_with=root), v=1)
"""


async def test_what_is_deleted_with_a_resource_is_not_deleted_itself_however_that_one_goes(lab: Lab) -> None:
    first = GOES_WITH.format(size=1, first=True, fail="")
    await lab.up(first)
    assert (await lab.up(GOES_WITH.format(size=2, first=True, fail=""))).succeeded
    assert lab.calls("create", "delete") == ["delete root", "create root", "create part"]
    assert (await lab.up(GOES_WITH.format(size=3, first=False, fail=""))).succeeded
    assert lab.calls("create", "delete") == ["create root", "create part", "delete root"]
    assert lab.names() == ["root", "part"]
    await lab.destroy()
    assert lab.calls("delete") == ["delete root"]


async def test_what_was_deleted_before_a_replacement_that_failed_is_not_deleted_again(lab: Lab) -> None:
    program = GOES_WITH + "Lab('user', replace_of=root.made)\n"
    await lab.up(program.format(size=1, first=True, fail=""))
    assert not (await lab.up(program.format(size=2, first=True, fail="create"))).succeeded
    assert lab.calls("delete") == ["delete user", "delete root"]
    assert {name for name, one in lab.resources().items() if one.pending_replacement} == {"root", "part", "user"}
    assert (await lab.up(program.format(size=2, first=True, fail=""))).succeeded
    assert lab.calls("delete") == []
    assert sorted(lab.calls("create")) == ["create part", "create root", "create user"]
    assert lab.names() == ["root", "part", "user"]


async def test_what_was_deleted_before_a_replacement_is_dropped_where_nobody_wants_it_any_more(lab: Lab) -> None:
    await lab.up(GOES_WITH.format(size=1, first=True, fail=""))
    assert not (await lab.up(GOES_WITH.format(size=2, first=True, fail="create"))).succeeded
    assert (await lab.destroy()).succeeded
    assert lab.calls("delete") == []
    assert lab.names() == []


async def test_what_goes_with_a_resource_that_is_gone_already_is_not_deleted_itself(lab: Lab) -> None:
    await lab.up(GOES_WITH.format(size=1, first=True, fail=""))
    for number, one in enumerate(lab.checkpoint.snapshot.resources):
        if one.urn == lab.urn("root"):
            lab.checkpoint.snapshot.resources[number].pending_replacement = True
    assert (await lab.destroy()).succeeded
    assert lab.calls("delete") == []
    assert lab.names() == []


async def test_a_leftover_of_an_earlier_failure_is_deleted_once_beside_its_successor(lab: Lab) -> None:
    program = (
        "root = Lab('root', replace_size={size}, first={first}, fail={fail!r})\nLab('user', replace_of=root.made, n={size})"
    )
    await lab.up(program.format(size=1, first=False, fail="delete"))
    assert not (await lab.up(program.format(size=2, first=False, fail=""))).succeeded
    assert lab.names().count("root~") == 1
    for one in lab.checkpoint.snapshot.resources:
        one.outputs.pop("fail", None)
    assert (await lab.up(program.format(size=3, first=True, fail=""))).succeeded
    assert sorted(lab.calls("delete")) == ["delete root", "delete root", "delete user"]
    assert lab.names() == ["root", "user"]


async def test_a_chain_of_what_goes_with_each_other_is_deleted_by_its_first_alone(lab: Lab) -> None:
    program = (
        "a = Lab('a', replace_size={size}, first=True)\n"
        "b = Lab('b', Options(deleted_with=a), v=1)\n"
        "Lab('c', Options(deleted_with=b), v=1)"
    )
    await lab.up(program.format(size=1))
    assert (await lab.up(program.format(size=2))).succeeded
    assert lab.calls("create", "delete") == ["delete a", "create a", "create b", "create c"]
    assert lab.names() == ["a", "b", "c"]


async def test_what_the_state_says_decides_with_whom_a_replaced_resource_goes(lab: Lab) -> None:
    program = "c = Lab('c', replace_size={size})\n{b}Lab('a', Options(replace_with=[c]{more}), v=1)"
    await lab.up(program.format(size=1, b="b = Lab('b', v=1)\n", more=", deleted_with=b"))
    assert (await lab.up(program.format(size=2, b="", more=""))).succeeded
    assert lab.calls("create") == ["create c", "create a"]
    assert sorted(lab.calls("delete")) == ["delete b", "delete c"]
    assert lab.names() == ["c", "a"]
