"""What a benchmark gives to a method. Imports nothing: commands name their tasks by it."""

from typing import Literal

BenchmarkTask = Literal["image", "video", "completion"]

TASKS: dict[BenchmarkTask, str] = {
    "image": "image-to-4D: given the true picture",
    "video": "video-to-4D: given the true row, the reference view over time",
    "completion": "completion: given the true row and the true column",
}
