"""Every setting as a typed, closed, frozen section. Marks: [P] stated in the paper, [S] the paper is silent."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

VOI_POLICY = r"auto|none|lut[1-9]|window[1-9]"
"""`auto`: the first VOI look-up table, else the first window, else none; the others: that one and nothing else."""

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A closed, frozen group of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ImageSettings(Section):
    """The model grid: H x W pixels, chest wall at column 0. Fixed when a cache is prepared."""

    height: Annotated[int, Field(ge=32, le=4096)] = 1024  # [P]
    width: Annotated[int, Field(ge=16, le=4096)] = 512  # [P]
    scale: Literal["mm", "fit", "liu2020"] = "mm"
    """`mm`: fixed millimetres a pixel for both sides, both shrunk alike if one does not fit; `fit`: the larger breast
    fills the frame; `liu2020`: the reference pipeline that the paper names, literally."""
    mm_per_pixel: Positive | None = None
    """None: 0.2 mm at 1024 rows and in proportion at other sizes (0.4 at 512, 0.8 at 256)."""

    voi: Annotated[str, Field(pattern=f"^({VOI_POLICY})$")] = "auto"
    """Which VOI look-up table or window of a DICOM file makes its grey: `auto`, `none`, `lut1` ..., `window1` ..."""

    @property
    def pixel_mm(self) -> float:
        """Millimetres a pixel of the model grid, before any shrinking to fit."""
        return self.mm_per_pixel if self.mm_per_pixel is not None else 0.2 * 1024 / self.height


class EncoderSettings(Section):
    """E1. ResNet-18 layout with torchvision's parameter names."""

    stem: Literal["7x7-pool", "5x5", "3x3"] = "7x7-pool"
    """`7x7-pool`: stride 2 and max-pool, as ResNet; `5x5`: stride 2, no pool; `3x3`: stride 1, no pool."""
    widths: tuple[Count, Count, Count, Count] = (64, 128, 256, 512)
    blocks: tuple[Count, Count, Count, Count] = (2, 2, 2, 2)
    strides: tuple[Count, Count, Count, Count] = (1, 2, 2, 2)
    """Strides of the four stages; output stride 16 or 8 by dropping strides."""
    normalise: Literal["z-score", "imagenet"] = "z-score"
    """Grey inside the encoder: per image inside the breast, clipped to 3; or (x - 0.449) / 0.226."""
    weights: str = "none"
    """`none` (random, said loudly), the name of installed weights (`disasymnet weights list`), or a file."""

    @property
    def stride(self) -> int:
        """Pixels of the model grid from one feature cell to the next."""
        stem = {"7x7-pool": 4, "5x5": 2, "3x3": 1}[self.stem]
        product = stem
        for stride in self.strides:
            product *= stride
        return product


class TransformerSettings(Section):
    """E2 to E4, the asymmetric transformer."""

    layers: Annotated[int, Field(ge=0)] = 12  # [P]; 0 leaves the features as they are
    heads: Count = 8  # [P]
    hidden: Count | None = None
    """Width of the fusing layer; None: as wide as the features."""
    self_attention: bool = True
    cross_attention: bool = True
    norm: bool = True
    residual: bool = True
    zero_init: bool = False
    """Last layer of each block starts at zero: a pre-trained encoder is not disturbed at step 0."""
    positions: Literal["none", "sine"] = "sine"
    pool: Count = 1
    """Attention on features max-pooled by this factor; its change is up-sampled and added to the full features."""
    dropout: Share = 0.0


class HeadSettings(Section):
    """E5 and the classifiers."""

    pooling: Literal["average", "lse"] = "average"
    temperature: Positive = 5.0  # of log-sum-exp pooling
    region: Literal["image", "breast"] = "image"
    """Cells that are pooled. With attention any token can carry the evidence, and cells of air are free to."""
    bias: float = 0.0
    """Start of the side head's. Below zero the sigmoid CAM begins nearly empty, and with it the gate of x_n."""
    fusion: Literal["difference", "concat-linear"] = "difference"
    """`difference`: the paper's heads on f_out and |f_r - f_l|; `concat-linear`: late fusion (rows without AsyC)."""


class CamSettings(Section):
    """E14, the online class activation map."""

    form: Literal["minmax", "sigmoid"] = "minmax"
    """`minmax`: ReLU, min-max per image, sigmoid(slope (n - offset)); `sigmoid`: sigmoid of the logit map."""
    slope: Positive = 100.0
    offset: float = 0.4
    detach: bool = True


class DecoderSettings(Section):
    """E7. Widths are those after each doubling; the last is the full resolution."""

    on: bool = True
    widths: tuple[Count, ...] = (256, 128, 64, 64, 32)
    skips: Literal["none", "gated", "deep", "unet"] = "none"
    """Encoder features joined: none; times (1 - M); only those at 1/8 of the size and coarser; all."""
    picture_skip: bool = False
    """x itself joins the last stage: where the trunk begins with stride 2, nothing else shows it finer grains."""
    output: Literal["direct", "residual"] = "residual"
    """`direct`: two channels through a sigmoid; `residual`: g = x - d, d starting at zero."""
    residual_gate: bool = True
    """x_n = x + M (g - x): only what the CAM marks may change. Never gated by the label."""


class LossSettings(Section):
    """E6, E8 to E10, E12, E13: weights lambda 1 to 4 [P], and that of the second objective."""

    diag: Weight = 1.0
    rec: Weight = 0.1
    disc: Weight = 1.0
    syn: Weight = 0.5
    syn_lesion: Weight = 0.0
    """Ours, within L_syn: of the mean over pixels that blending changed, beside that over the whole picture. They are
    one in a hundred: a decoder that learns alone leaves everything as it is without."""
    refine: Weight = 1.0
    contralateral: Weight = 0.0
    """Of `methods.losses.contralateral_loss`, which the paper does not have: what attention shall learn where pairs are
    too few to teach it. Without cross-attention, or with the heads of late fusion, there is no such term."""
    label_gate: bool = False
    """y^s M instead of M in the reconstruction loss (the paper's maps are never empty, method 1.4)."""
    region: Literal["image", "breast"] = "image"
    """Pixels that the means of E8 and E12 run over."""


class AdversarySettings(Section):
    """E9, E10: BatchNorm of the frozen copy and of the refine pass, and the grey that both see [S]."""

    frozen_batch_norm: Literal["eval", "train"] = "eval"
    refine_batch_norm: Literal["eval", "frozen", "train"] = "frozen"
    """`frozen`: batch statistics, running statistics untouched."""
    grey: Literal["own", "input"] = "input"
    """Whose mean and deviation z-scores x_n when it is judged: x_n's own, as for any picture, or those of x. With those
    of x a picture without its bright lesion looks dark and flat, and the decoder brightens the rest of the breast."""


class LateFusionSettings(Section):
    """Late fusion: the classifiers on both sides' features."""

    head: Literal["linear", "mlp"] = "linear"
    """A linear head on a concatenation cannot compare the sides; `mlp` (2048, 512) can."""


class CvtSettings(Section):
    """Cross-view transformer: attention from each side to the other in front of the last stage."""

    form: Literal["pixel", "token"] = "pixel"
    """What attends to what: cells to cells, or cells to a few visual tokens of the other side."""
    heads: Count = 12
    pool: Count = 4
    """`pixel`: both sides max-pooled by this factor for the attention; 1: every cell, at 16 times the squared cost."""
    tokens: Count = 16
    zero_init: bool = False
    """The change that attention makes starts at zero, so that a pre-trained trunk is not disturbed."""


class HamSettings(Section):
    """Hierarchical attention mining: weights of its losses beside that of the abnormal head (`losses.diag`)."""

    anomaly: Weight = 0.01
    bound: Weight = 0.001
    union: Weight = 0.001


class ModelSettings(Section):
    """DisAsymNet and, by its switches, the rows of its ablation table; the comparison methods share what they use."""

    encoder: EncoderSettings = EncoderSettings()
    transformer: TransformerSettings = TransformerSettings()
    heads: HeadSettings = HeadSettings()
    cam: CamSettings = CamSettings()
    decoder: DecoderSettings = DecoderSettings()
    losses: LossSettings = LossSettings()
    adversary: AdversarySettings = AdversarySettings()
    late_fusion: LateFusionSettings = LateFusionSettings()
    cvt: CvtSettings = CvtSettings()
    ham: HamSettings = HamSettings()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.encoder.widths[-1] % self.transformer.heads:
            raise ValueError("encoder.widths: the last must be a multiple of transformer.heads")
        if self.transformer.positions == "sine" and self.encoder.widths[-1] % 4:
            raise ValueError("encoder.widths: the last must be a multiple of 4 for sine positions")
        if self.decoder.on and 2 ** len(self.decoder.widths) != self.encoder.stride:
            raise ValueError(
                f"decoder.widths: {len(self.decoder.widths)} doublings do not undo the encoder's stride "
                f"{self.encoder.stride}"
            )
        return self


class SynthesisSettings(Section):
    """E11. Tumours of another data set blended into symmetric pairs."""

    on: bool = True
    tumours: str | None = None
    """A tumour set's folder, where the cache does not bring one (phantoms do)."""
    mode: Literal["replace", "extra"] = "replace"
    """`replace`: a share of the batch's symmetric pairs becomes synthetic, with labels; `extra`: a second forward of
    B/2 synthesised pairs that only L_syn sees."""
    share: Share = 0.5
    """Of the symmetric pairs of a batch (`replace`), or B_fake / B (`extra`)."""
    most: Annotated[int, Field(ge=1, le=9)] = 3  # n in {1, 2, 3} [P]
    both_sides: Share = 0.2
    peak: tuple[Positive, Positive] = (1.0, 1.0)
    """Range of the bell's peak. Alpha is cut at 1: above 1 it has a flat top, and a lesion keeps its own border."""
    sigma: Positive = 1 / 6
    """Of alpha, in units of the patch's side (patch = 1.5 x lesion box): a quarter of the box, so 0.011 at the
    edge. At 0.25 the edge is a step of 0.0095 grey, more than from pixel to pixel of tissue (0.0080, mini-MIAS)."""
    harmonise: Literal["none", "shift"] = "shift"
    resize: tuple[Positive, Positive] = (0.8, 1.25)
    sources: tuple[str, ...] = ()
    """Data sets that tumours may come from; none named: any but the one trained on."""
    same_source: bool = False
    """Allow tumours of the training set itself. Breaks the weak-supervision rule and is written into the report."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("peak", "resize"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"synthesis.{name}: the range begins at {low:g}, above its end {high:g}")
        return self


class AugmentSettings(Section):
    """Random zoom and crop [P], one draw for both sides with a small jitter of each."""

    zoom: Annotated[float, Field(ge=0, lt=0.5)] = 0.1
    shift: Annotated[float, Field(ge=0, lt=0.5)] = 0.03
    """Vertical, in units of the height."""
    jitter: Annotated[float, Field(ge=0, lt=0.2)] = 0.02
    vertical_flip: bool = False
    swap_sides: bool = False
    grey: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Gain and gamma drawn within +- this, the same for both sides."""


class TrainSettings(Section):
    """The loop."""

    epochs: Count = 20
    batch: Annotated[int, Field(ge=1)] = 8  # pairs [P: 8]
    accumulate: Count = 1
    rate: Positive = 1e-4  # [P]
    decay_at: tuple[Share, ...] = (0.5,)
    """Shares of the run after which the rate drops to a tenth (20 epochs: after 10 [P])."""
    weight_decay: Weight = 0.0
    optimisers: Literal[1, 2] = 1
    """2: the refine objective has an Adam of its own."""
    clip: Weight = 5.0
    """Largest gradient norm; 0 switches it off."""
    freeze: tuple[str, ...] = ()
    """Parts that stay as they are: `encoder.conv1`, `encoder.layer1`, ..."""
    keep_statistics: tuple[str, ...] = ()
    """Parts whose weights learn, but whose BatchNorm keeps the running statistics it has: for a pre-trained part and
    few pictures, whose own statistics are worse."""
    precision: Literal["fp32", "bf16"] = "fp32"
    channels_last: bool = True
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] = 0
    validate_every: Count = 1
    """Epochs."""


class DataSettings(Section):
    """Which pairs teach, choose and test."""

    folds: Annotated[int, Field(ge=0)] = 0
    """0: the cache's own train / val / test split; k: k folds by patient, each pair tested once."""
    fold: Annotated[int, Field(ge=0)] = 0
    """With folds: where it is set `disasymnet train` takes this one alone, else all."""
    inner: Annotated[int, Field(ge=0)] = 0
    """With folds: the fold so many places further takes no part in training and is there to choose by; 0: none is."""
    shares: tuple[Share, Share, Share] | None = None
    """Without folds: patients for train, val and test, drawn anew; a data set's own split is then not used. None: the
    cache's own split."""
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training patients that is used (Figure 2)."""
    partners: Literal["own", "strangers"] = "own"
    """`strangers`: a negative control. Each right breast beside the left one of another woman of the same split."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.shares is not None and abs(sum(self.shares) - 1) > 1e-9:
            raise ValueError(f"data.shares: {sum(self.shares):g} in all, and not 1")
        return self


class PretrainSettings(Section):
    """The trunk as a fully convolutional lesion detector on boxes of another data set."""

    steps: Count = 2400
    batch: Count = 32
    crop_mm: Positive = 51.2
    hard_steps: Annotated[int, Field(ge=0)] = 600
    hard_batch: Count = 16
    hard_crop_mm: Positive = 102.4
    hard_cells: Count = 8
    rate: Positive = 1e-3
    hard_rate: Positive = 3e-4
    positive_weight: Positive = 3.0
    inner: Positive = 0.75
    outer: Positive = 1.5
    """A cell is lesion inside `inner` times the box's ellipse, background beyond `outer` times, else unused."""
