"""SRCNN's weights, as its authors published them for MATLAB."""

from pathlib import Path

from srntt_pipeline.importing.importer import Weights, importer, recipe_of
from srntt_pipeline.importing.mat import array_of, contiguous, square_side
from srntt_pipeline.matlab import read_mat
from srntt_pipeline.recipes.srcnn import SrcnnRecipe


@importer("srcnn", ("X4.mat",))
def srcnn(file: Path) -> Weights:
    """SRCNN 9-5-5, 9-3-5 or 9-1-5 for ×4, from a .mat file such as `x4.mat` of its test code."""
    content = read_mat(file)
    first = array_of(file, content, "weights_conv1", (None, None))
    many = first.shape[1]
    second = array_of(file, content, "weights_conv2", (many, None, None))
    few = second.shape[2]
    third = array_of(file, content, "weights_conv3", (few, None))
    biases = [
        array_of(file, content, f"biases_conv{number}", (count, 1))[:, 0]
        for number, count in enumerate((many, few, 1), 1)
    ]
    sides = [
        square_side(file, f"weights_conv{number}", count)
        for number, count in enumerate((first.shape[0], second.shape[1], third.shape[1]), 1)
    ]
    one, two, three = sides
    # Kernels are columns of pixels, column by column.
    kernels = [
        first.T.reshape(many, 1, one, one).swapaxes(2, 3),
        second.transpose(2, 0, 1).reshape(few, many, two, two).swapaxes(2, 3),
        third.reshape(1, few, three, three).swapaxes(2, 3),
    ]
    arrays = {f"layers.{2 * n}.weight": kernel for n, kernel in enumerate(kernels)}
    arrays |= {f"layers.{2 * n}.bias": bias for n, bias in enumerate(biases)}
    recipe = recipe_of(file, SrcnnRecipe, kernels=(one, two, three), channels=(many, few))
    return Weights(recipe, contiguous(arrays), trained_on="matlab-replicate")
