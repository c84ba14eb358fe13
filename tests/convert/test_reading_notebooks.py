"""Notebooks as people have them are read without a word about their format."""

import json
import warnings

from heliostat.convert.reading import read


def test_a_notebook_whose_cells_have_no_ids_is_read_without_a_warning(tmp_path):
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": ["x = 1"]}
    notebook = {"cells": [cell], "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps(notebook))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = read(path)
    assert [cell.text for cell in source.cells] == ["x = 1"]
