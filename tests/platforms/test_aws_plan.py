"""What the platform `aws` asks AWS for."""

from tests.platforms import golden
from tests.platforms.aws_stack import aws_stack


async def test_the_plan_is_the_one_that_was_reviewed_and_an_up_after_an_up_does_nothing(tmp_path):
    stack = aws_stack(tmp_path)
    assert (await stack.preview()).succeeded, stack.errors()
    assert (await stack.up()).succeeded, stack.errors()
    golden.check("aws", stack.plan())
    assert "sesame" not in stack.stored()
    assert (await stack.up()).succeeded, stack.errors()
    assert stack.touched() == []
