from __future__ import annotations

import pytest
import torch

from urbanln.base.errors import InputError
from urbanln.model.clip import LongClip
from urbanln.model.teacher import MomentumTeacher


def move(model: LongClip, by: float = 0.1) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += by * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))


def test_it_starts_as_a_copy_that_does_not_train(long_clip: LongClip) -> None:
    long_clip.train()
    teacher = MomentumTeacher(long_clip, 0.9)
    assert teacher.max_difference() == 0
    assert not teacher.model.training
    assert not any(p.requires_grad for p in teacher.model.parameters())
    assert all(p.requires_grad for p in long_clip.parameters())
    ours = {p.data_ptr() for p in long_clip.parameters()}
    assert not ours & {p.data_ptr() for p in teacher.model.parameters()}
    assert teacher.model.tokenizer is long_clip.tokenizer


def test_the_average_is_taken_in_place(long_clip: LongClip) -> None:
    long_clip.clip.visual_projection.requires_grad_(False)
    teacher = MomentumTeacher(long_clip, 0.75)
    places = [p.data_ptr() for p in teacher.model.parameters()]
    wanted = {name: p.detach().double().clone() for name, p in long_clip.named_parameters()}
    for step in range(3):
        move(long_clip, 0.1 * (step + 1))
        teacher.update()
        for name, parameter in long_clip.named_parameters():
            if name == "clip.logit_scale" or not parameter.requires_grad:
                wanted[name] = parameter.detach().double().clone()
            else:
                wanted[name] = 0.75 * wanted[name] + 0.25 * parameter.detach().double()
    for name, parameter in teacher.model.named_parameters():
        assert torch.allclose(parameter.double(), wanted[name], atol=1e-6), name
    assert places == [p.data_ptr() for p in teacher.model.parameters()]
    assert teacher.max_difference() > 0.01


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_the_ends_of_the_momentum(long_clip: LongClip, momentum: float) -> None:
    teacher = MomentumTeacher(long_clip, momentum)
    ids = long_clip.tokenize(["a park beside a river"])
    before = teacher.model.encode_text(ids)
    move(long_clip)
    teacher.update()
    student = long_clip.encode_text(ids).detach()
    after = teacher.model.encode_text(ids)
    assert (before - student).abs().max() > 1e-4
    # To a tolerance: equal weights at addresses of another alignment may differ in the last bit of a product.
    torch.testing.assert_close(after, student if momentum == 0 else before, rtol=0, atol=1e-6)


def test_a_bf16_student_has_a_teacher_that_still_moves(long_clip: LongClip) -> None:
    """A step of .005 is below the spacing of bf16: the teacher must be wider."""
    long_clip.to(torch.bfloat16)
    teacher = MomentumTeacher(long_clip, 0.995)
    weight = teacher.model.clip.text_projection.weight
    assert weight.dtype == torch.float32
    before = weight.clone()
    with torch.no_grad():
        long_clip.clip.text_projection.weight *= 1.05
    teacher.update()
    assert (weight != before).float().mean() > 0.9


def test_a_momentum_outside_0_and_1_is_refused(long_clip: LongClip) -> None:
    with pytest.raises(InputError, match="momentum"):
        MomentumTeacher(long_clip, 1.2)
