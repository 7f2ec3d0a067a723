"""How a batch's writer draws its words: ``Sampling`` with the bounds within which its numbers make sense."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict

Share = Annotated[float, Strict(), Field(ge=0, le=1)]
Amount = Annotated[float, Strict(), Field(ge=0, le=100)]
Tokens = Annotated[int, Strict(), Field(ge=0, le=1_000_000)]


class SamplingFields(BaseModel):
    """How tokens are drawn. A sampler that is left out is as the model's profile has it."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    temperature: Annotated[float, Strict(), Field(ge=0, le=10)] | None = Field(
        default=None, description="How bold the draw is; 0 always takes the likeliest token."
    )
    top_k: Tokens | None = Field(default=None, description="Only so many likeliest tokens; 0 is off.")
    top_p: Share | None = Field(
        default=None, description="Only the likeliest tokens of this share; 1 is off."
    )
    min_p: Share | None = Field(
        default=None, description="Only tokens at least this times as likely as the likeliest; 0 is off."
    )
    typical_p: Share | None = Field(
        default=None, description="Only the most typical tokens of this share; 1 is off."
    )
    repetition_penalty: Annotated[float, Strict(), Field(gt=0, le=10)] | None = Field(
        default=None, description="Makes tokens that were written already less likely; 1 is off."
    )
    repetition_window: Tokens | None = Field(
        default=None, description="Over how many of the last tokens the penalty looks."
    )
    dry_multiplier: Amount | None = Field(
        default=None, description="How much DRY holds repeated phrases back; 0 is off."
    )
    dry_base: Annotated[float, Strict(), Field(ge=1, le=10)] | None = Field(
        default=None, description="How fast DRY grows with a repetition's length."
    )
    dry_allowed_length: Tokens | None = Field(
        default=None, description="The longest repetition, in tokens, that DRY lets pass."
    )
    dry_window: Tokens | None = Field(default=None, description="Over how many of the last tokens DRY looks.")
    dry_breakers: list[Annotated[str, Field(min_length=1, max_length=40)]] | None = Field(
        default=None, description="Strings at which a repetition ends for DRY."
    )
    xtc_probability: Share | None = Field(
        default=None, description="How often XTC leaves out the likeliest tokens; 0 is off."
    )
    xtc_threshold: Share | None = Field(
        default=None, description="How likely a token must be for XTC to leave it out."
    )
    mirostat: Literal[1, 2] | None = Field(
        default=None, description="Mirostat's version, in place of the other samplers."
    )
    mirostat_tau: Amount | None = Field(default=None, description="The surprise that Mirostat aims at.")
    mirostat_eta: Share | None = Field(default=None, description="How fast Mirostat learns.")
