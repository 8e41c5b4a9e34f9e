"""Stage 1 with its checkpoints: references and image matrix in a run folder."""

from dataclasses import dataclass, replace

from diffusion2.cameras import orbit
from diffusion2.config import GenerateSettings
from diffusion2.errors import InputError
from diffusion2.events import Report
from diffusion2.image_matrix import Conditions, ImageMatrix, frame_times
from diffusion2.matrix_files import read_pictures, to_8_bit, write_matrix, write_picture, write_pictures
from diffusion2.priors.mini import load_pair
from diffusion2.priors.prior import PriorPair
from diffusion2.run_folder import RunFolder
from diffusion2.sampling import decode_matrix, sample_matrix, sample_references
from diffusion2.weights import mini_folder


@dataclass(frozen=True)
class Stage1:
    """A loaded pair of priors, ready to fill a run's folder.

    What is in the folder already (references, checkpoints) is used, and the result is the same.
    References are rounded to 8 bits before the matrix is conditioned on them, because that is what the
    folder holds.

    Attributes:
        pair: the priors and their codec.
    """

    pair: PriorPair

    @classmethod
    def load(cls, settings: GenerateSettings) -> "Stage1":
        """Load the networks that the settings name.

        Raises:
            WeightsError: they are missing or damaged.
            InputError: the settings' picture size does not fit them.
        """
        pair = load_pair("mini", mini_folder(), precision=settings.sampling.precision)
        if settings.size % pair.codec.factor:
            raise InputError(f"size must be a multiple of {pair.codec.factor}, not {settings.size}")
        return cls(pair)

    def __call__(
        self, run: RunFolder, conditions: Conditions, settings: GenerateSettings, report: Report
    ) -> None:
        """Sample the references and the matrix and write them."""
        conditions = self._references(run, conditions, settings, report)
        latents = sample_matrix(
            self.pair,
            conditions,
            settings,
            report,
            on_checkpoint=run.save_checkpoint,
            start=run.latest_checkpoint(),
        )
        cameras = orbit(settings.views, settings.elevation_deg, height=settings.size, width=settings.size)
        images = decode_matrix(self.pair, latents, report)
        write_matrix(run.path, ImageMatrix(images, cameras, frame_times(settings.frames), settings.fps))

    def _references(
        self, run: RunFolder, conditions: Conditions, settings: GenerateSettings, report: Report
    ) -> Conditions:
        """Give the reference row and column: an interrupted run's, each whole or not there, or new ones."""
        run.picture_path.parent.mkdir(exist_ok=True)
        write_picture(run.picture_path, conditions.picture)
        if conditions.video is None and run.video_path.is_dir():
            conditions = replace(conditions, video=read_pictures(run.video_path, "frame")[0])
        if conditions.views is None and run.views_path.is_dir():
            conditions = replace(conditions, views=read_pictures(run.views_path, "view")[0])
        conditions = sample_references(self.pair, conditions, settings, report)
        assert conditions.video is not None
        assert conditions.views is not None
        video, views = to_8_bit(conditions.video), to_8_bit(conditions.views)
        if not run.video_path.is_dir():
            write_pictures(run.video_path, video, "frame")
        if not run.views_path.is_dir():
            write_pictures(run.views_path, views, "view")
        return replace(conditions, video=video, views=views)
