"""How the local model is trained: `config/training.yaml`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class VectorizerConfig(BaseModel):
    """Arguments of `training.vectorizer.NewsVectorizer`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_df: int = Field(default=2, ge=1)
    """Documents a word or pair of words must occur in."""
    char_min_df: int = Field(default=3, ge=1)
    """Documents a character n-gram must occur in."""
    char_range: tuple[int, int] = (3, 5)
    """Shortest and longest character n-gram."""
    char_weight: float = Field(default=0.6, gt=0)
    """Weight of the character n-grams, where that of the words is 1."""
    lexicon_weight: float = Field(default=0.0, ge=0)
    """Weight of the VADER lexicon's valences; 0 leaves them out."""


class TaskConfig(BaseModel):
    """One pipeline: features, classifier, calibration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vectorizer: VectorizerConfig = VectorizerConfig()
    """How text becomes features."""
    classifier: Literal["complement_nb", "logistic_regression"]
    """Which scikit-learn classifier reads them."""
    params: dict[str, float | int] = Field(default_factory=dict)
    """Arguments of the classifier."""


class TrainingConfig(BaseModel):
    """Everything that decides what `train` writes, beside data, labels and code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")
    """Name of the model, as it stands in its answers."""
    seed: int = 7
    """Seed of the shuffle before cross-validation."""
    folds: int = Field(default=5, ge=2, le=20)
    """Folds of the cross-validation and of the calibration."""
    description_copies: int = Field(default=1, ge=0, le=100)
    """How often each label's description is added as a training text, as prior knowledge."""
    category: TaskConfig
    """The pipeline that answers the category."""
    sentiment: TaskConfig
    """The pipeline that answers the sentiment."""
