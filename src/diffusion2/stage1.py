"""Stage 1 with its checkpoints: references and image matrix in a run folder."""

from dataclasses import dataclass, replace

from diffusion2.config import GenerateSettings
from diffusion2.errors import InputError
from diffusion2.events import Report
from diffusion2.image_matrix import Conditions, ImageMatrix, frame_times, turn_time, view_cameras
from diffusion2.pictures import to_8_bit
from diffusion2.priors.devices import choose_device, choose_dtype
from diffusion2.priors.mini import load_pair
from diffusion2.priors.network import NetworkPrior
from diffusion2.priors.prior import PriorPair
from diffusion2.runs.matrix_files import read_pictures, write_matrix, write_pictures
from diffusion2.runs.run_folder import RunFolder
from diffusion2.sampling import decode_matrix, sample_matrix, sample_references
from diffusion2.weights.catalogue import full_size_paths, mini_folder


@dataclass(frozen=True)
class Stage1:
    """A loaded pair of priors, ready to fill a run's folder.

    What is in the folder already (references, checkpoints) is used, and the result is the same.
    References are rounded to 8 bits before the matrix is conditioned on them, because that is what the
    folder holds.

    Attributes:
        pair: the priors and their codec.
        device: where their networks run, "cpu" or "cuda".
    """

    pair: PriorPair
    device: str = "cpu"

    @classmethod
    def load(cls, settings: GenerateSettings) -> "Stage1":
        """Load the networks that the settings name.

        Raises:
            WeightsError: they are missing, damaged or others.
            BackendUnavailable: there is no such device.
            InputError: the settings' picture size does not fit them.
        """
        sampling = settings.sampling
        device = choose_device(sampling.device, settings.priors)
        if settings.priors == "mini":
            pair = load_pair(
                "mini", mini_folder(), precision=sampling.precision, device=device, offload=sampling.offload
            )
        else:
            from diffusion2.priors.full_size import load_full_size  # late: transformers takes seconds

            pair = load_full_size(
                *full_size_paths(settings.weights),
                dtype=choose_dtype(sampling.precision, device),
                device=device,
                offload=sampling.offload,
            )
        if sampling.compile:
            for prior in (pair.video, pair.multiview):
                assert isinstance(prior, NetworkPrior)
                prior.compile()
        if settings.size % pair.codec.factor:
            raise InputError(f"size must be a multiple of {pair.codec.factor}, not {settings.size}")
        return cls(pair, device)

    def __call__(
        self, run: RunFolder, conditions: Conditions, settings: GenerateSettings, report: Report
    ) -> None:
        """Sample what is not known of the references, and the matrix, and write them.

        A row or column that was given stands in the matrix as it was given, to the pixel.
        """
        given = conditions
        conditions = self._references(run, given, settings, report)
        latents = sample_matrix(
            self.pair,
            conditions,
            settings,
            report,
            on_checkpoint=run.save_checkpoint,
            start=run.latest_checkpoint(),
        )
        images = decode_matrix(self.pair, latents, report, settings.sampling.threads)
        if given.views is not None:
            images[:, 0] = given.views
        if given.video is not None:
            images[-1] = given.video
        matrix = ImageMatrix(
            turn_time(images, settings, dim=1),
            view_cameras(settings),
            frame_times(settings.frames),
            given.fps or settings.fps,
            reference_frame=0 if settings.reference_frame == "first" else settings.frames - 1,
        )
        write_matrix(run.path, matrix)

    def _references(
        self, run: RunFolder, conditions: Conditions, settings: GenerateSettings, report: Report
    ) -> Conditions:
        """Give the reference row and column: an interrupted run's, each whole or not there, or new ones."""
        if conditions.video is None and run.video_path.is_dir():
            video = read_pictures(run.video_path, "frame")[0]
            conditions = replace(conditions, video=turn_time(video, settings))
        if conditions.views is None and run.views_path.is_dir():
            conditions = replace(conditions, views=read_pictures(run.views_path, "view")[0])
        conditions = sample_references(self.pair, conditions, settings, report)
        assert conditions.video is not None
        assert conditions.views is not None
        video, views = to_8_bit(conditions.video), to_8_bit(conditions.views)
        if not run.video_path.is_dir():
            write_pictures(run.video_path, turn_time(video, settings), "frame")
        if not run.views_path.is_dir():
            write_pictures(run.views_path, views, "view")
        return replace(conditions, video=video, views=views)
