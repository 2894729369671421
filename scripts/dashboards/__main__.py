"""Write every dashboard; a test fails while the files are not what this writes."""

from scripts.dashboards.board import FOLDER, text_of
from scripts.dashboards.build import boards

for name, board in boards().items():
    (FOLDER / name).write_text(text_of(board), encoding="utf-8")
