"""Write every dashboard. A test fails while the files differ from this output."""

from scripts.dashboards.board import FOLDER, text_of
from scripts.dashboards.build import boards

for name, board in boards().items():
    (FOLDER / name).write_text(text_of(board), encoding="utf-8")
