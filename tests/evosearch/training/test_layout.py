from __future__ import annotations

import torch
from small_tasks import Regression

from evosearch.training.layout import ALIGNMENT, Layout
from proxy_tasks.task import Role
from proxy_tasks.tasks.digits_mlp import DigitsMLP


def test_parameters_are_disjoint_aligned_and_inside_their_region():
    for task in (Regression(), DigitsMLP(), DigitsMLP(hidden=(17, 17, 17))):
        layout = Layout.of(task)
        taken = torch.zeros(layout.size, dtype=torch.int)
        for p, start in zip(layout.parameters, layout.offsets, strict=True):
            region = layout.matrix if p.role is Role.HIDDEN else layout.rest
            assert start % ALIGNMENT == 0
            assert region.start <= start
            assert start + p.numel <= region.stop
            taken[start : start + p.numel] += 1
        assert taken.max() == 1
        assert layout.matrix.stop == layout.rest.start
        assert layout.size % ALIGNMENT == 0
        assert layout.matrix.numel + layout.rest.numel == sum(p.numel for p in task.parameters)


def test_views_share_the_buffer_and_keep_lanes_apart():
    layout = Layout.of(Regression())
    flat = torch.zeros(3, layout.size)
    views = layout.views(flat)
    assert [v.shape[1:] for v in views.values()] == [p.shape for p in Regression().parameters]
    views["middle"][1].fill_(7.0)
    assert flat[1].sum() == 7.0 * 36
    assert flat[0].abs().sum() == flat[2].abs().sum() == 0.0


def test_matrices_of_one_shape_are_one_stack():
    layout = Layout.of(DigitsMLP(hidden=(16, 16, 16, 16)))
    flat = torch.randn(2, layout.size)
    views = layout.views(flat)
    (first, square) = layout.matrix.stacks
    assert (square.count, square.rows, square.cols) == (3, 16, 16)
    for i in range(3):
        assert torch.equal(square.view(flat)[:, i], views[f"layer{i + 1}.weight"])
    assert torch.equal(first.view(flat)[:, 0], views["layer0.weight"])
    assert square.view(flat).untyped_storage().data_ptr() == flat.untyped_storage().data_ptr()


def test_a_vector_is_a_single_row():
    layout = Layout.of(Regression())
    assert (1, 6) in [(s.rows, s.cols) for s in layout.rest.stacks]
