"""The interface of a model family: how its parts are reached and where its visual tokens are.

A family is chosen by the `model_type` of a config. The defaults here are right for most families of
transformers 5; a family file overrides only what differs. One file with one decorated class adds a
family, here or in another package (entry point `tokviz.families`).
"""

from __future__ import annotations

import importlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import torch
from PIL import Image
from torch import nn
from transformers.masking_utils import create_masks_for_generate
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import requires_backends

from tokviz.errors import ModelError
from tokviz.extras import how_to_install
from tokviz.film import Film
from tokviz.models.families.parts import check_decoder, check_rotation
from tokviz.models.families.processor_calls import ProcessorCalls
from tokviz.models.families.sources import Sources
from tokviz.models.families.tower_blocks import TowerBlocks
from tokviz.registry import Registry
from tokviz.trace.layout import Layout

if TYPE_CHECKING:
    from tokviz.models.decoder.remove_tokens import DecoderStages

Inputs = Mapping[str, Any]
T = TypeVar("T")


class Features(NamedTuple):
    """The visual features that enter the language model, of all images in prompt order."""

    tokens: torch.Tensor
    "[n, d], newline and separator tokens included."
    extra: tuple[torch.Tensor, ...] = ()
    "Each [n, d]: further features, added to the states after the first decoder layers (deepstack)."


class Family(ProcessorCalls, TowerBlocks, ABC):
    """Everything that differs between families of models. It has no state: pass the model in."""

    name: str = ""
    title: str = ""
    model_types: tuple[str, ...] = ()
    """Values of config.model_type that this file serves; "llava+pixtral" is llava's models whose
    vision_config is of the type pixtral, which another file may serve than the others."""
    film: str = "Frame by frame, as pictures."
    "How a film becomes visual tokens, for lists of families."
    backends: tuple[str, ...] = ()
    "Optional packages without which transformers cannot build these models, by its names for them."
    extra: str = ""
    "The extra of pyproject.toml that brings them."
    bare_prompt: bool = False
    "`plain_prompt` is the form that these models were taught: they know no chat."

    def check_packages(self) -> None:
        """Raise ModelError, naming the command, where a package of `backends` cannot be used."""
        try:
            requires_backends(self, list(self.backends))
            for package in self.backends:
                importlib.import_module(package)
        except Exception as error:  # a torchvision for another torch raises its own errors
            named, install = " and ".join(self.backends), how_to_install(self.extra)
            raise ModelError(
                f"{self.title} needs the package {named} with torchvision, which cannot be used "
                f"here: {install} brings them. A torchvision for another version of torch than "
                f"the {torch.__version__} of this Python does not work."
            ) from error

    def check_model(self, model: nn.Module) -> None:
        """Raise ModelError, naming the part, where a checkpoint has one that is not served."""
        decoder = self.decoder(model)
        check_decoder(decoder)
        row = torch.zeros(1, 1, 1, device=next(decoder.parameters()).device)
        check_rotation(decoder, self.rotary(decoder, row, row[0].long(), 0))

    def notes(self, model: nn.Module) -> tuple[str, ...]:
        """Return what whoever reads a run of this model needs to know, in sentences."""
        return ()

    # -- the language model -------------------------------------------------------------------

    def decoder(self, model: nn.Module) -> nn.Module:
        """Return the text decoder (with .layers, .rotary_emb and a final norm)."""
        return model.model.get_decoder()  # type: ignore[operator, union-attr]

    def head_weight(self, model: nn.Module) -> torch.Tensor:
        """Return the weight of the language model's head, [v, d]."""
        return model.get_output_embeddings().weight  # type: ignore[operator]

    def cap_logits(self, model: nn.Module, logits: torch.Tensor) -> torch.Tensor:
        """Return word logits (states times `head_weight`) after the soft cap, if there is one."""
        return logits

    def word_logits(self, model: nn.Module, states: torch.Tensor) -> torch.Tensor:
        """Return the word logits of states after the final norm, [..., d] -> float32 [..., v].

        Every lens reads words this way, so that after the last layer it gives what the model gives.
        """
        head = self.head_weight(model)
        return self.cap_logits(model, (states.to(head.dtype) @ head.T).float())

    def image_token_id(self, model: nn.Module) -> int:
        """Return the id of the placeholder of one visual token."""
        return int(model.config.image_token_id)  # type: ignore[union-attr, arg-type]

    def visual_token_id(self, model: nn.Module, ids: Any) -> int:
        """Return the id of the placeholder in a prompt: a film's, if it has one, or a picture's.

        Args:
            model: the model.
            ids: the prompt, tensor or array.
        """
        film = getattr(model.config, "video_token_id", None)
        if self.film_pixels is not None and film is not None and bool((ids == film).any()):
            return int(film)
        return self.image_token_id(model)

    def positions(self, model: nn.Module, inputs: Inputs) -> torch.Tensor:
        """Return the position ids that generate() would use, [..., 1, s]."""
        count = inputs["input_ids"].shape[1]
        return torch.arange(count, device=inputs["input_ids"].device)[None]

    def rotary(
        self, decoder: nn.Module, hidden: torch.Tensor, positions: torch.Tensor, layer: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the rotary cos and sin of a layer for text positions [1, rows].

        Used when positions are renumbered inside the language model. `layer` matters only if the
        layers differ in their rotation.
        """
        rotary: Any = decoder.rotary_emb
        kinds = getattr(decoder.config, "layer_types", None)
        if kinds and "layer_type" in inspect.signature(rotary.forward).parameters:
            return rotary(hidden, positions, kinds[layer])
        return rotary(hidden, positions)

    def rotary_sections(self, decoder: nn.Module) -> Sequence[int]:
        """Return how many rotary frequencies each axis has, one axis after the other; () = one."""
        return ()

    def window_mask(
        self, model: nn.Module, inputs: Inputs, rows: torch.Tensor
    ) -> torch.Tensor | None:
        """Return the model's own mask of layers with a sliding window for a prompt.

        Args:
            model: the model.
            inputs: the processor's output.
            rows: [rows], the rows of the full prompt that this prompt consists of.

        Returns:
            bool [1, 1, rows, rows], True = may attend; None if the model needs no mask.
        """
        make = getattr(model, "create_masks_for_generate", create_masks_for_generate)
        types = inputs.get("token_type_ids")
        config = model.config.get_text_config()  # type: ignore[union-attr, operator]
        masks = make(
            config=config,
            inputs_embeds=torch.empty(1, len(rows), 0, device=rows.device),
            attention_mask=None,
            past_key_values=None,
            position_ids=None,
            **({} if types is None else {"token_type_ids": types[:, rows]}),
        )
        return masks["sliding_attention"] if isinstance(masks, dict) else masks

    def during_prefill(
        self, model: nn.Module, stages: DecoderStages
    ) -> AbstractContextManager[None]:
        """Return a context for one prefill, for families with further per-token inputs of layers.

        `stages.alive` and `stages.visual` have the current rows.
        """
        return nullcontext()

    # -- the vision tower ---------------------------------------------------------------------

    @abstractmethod
    def tower_layers(self, model: nn.Module) -> nn.ModuleList:
        """Return the blocks of the vision tower."""

    @abstractmethod
    def has_cls(self, model: nn.Module) -> bool:
        """Return whether token 0 of the tower is a [CLS] token."""

    def projector(self, model: nn.Module) -> nn.Module:
        """Return the module that maps tower features to the language model's width."""
        return model.model.multi_modal_projector  # type: ignore[union-attr, return-value]

    def projector_input(self, args: tuple[Any, ...]) -> torch.Tensor:
        """Return what `pre_features` gets of one call of the projector, rows [any, d_pre].

        Args:
            args: the arguments of the call.
        """
        return args[0].reshape(-1, args[0].shape[-1])

    def project(self, model: nn.Module, pre: torch.Tensor) -> torch.Tensor:
        """Return the projected states, [m, d_pre] (see `pre_features`) -> [m, d]."""
        return self.projector(model)(pre[None])[0]

    def tower_outputs(self, model: nn.Module, inputs: Inputs) -> Any:
        """Run the tower and the projector; return the model's own output object."""
        inner: Any = model.model
        film = "pixel_values_videos" in inputs
        run = inner.get_video_features if film else inner.get_image_features
        accepted = inspect.signature(run).parameters
        kwargs = {k: v for k, v in inputs.items() if k in accepted}
        return run(**kwargs, return_dict=True)

    def image_features(self, model: nn.Module, inputs: Inputs) -> Features:
        """Run the tower and the projector."""
        return Features(torch.cat(list(self.tower_outputs(model, inputs).pooler_output)))

    def shown(
        self, model: nn.Module, ids: torch.Tensor, features: Features
    ) -> dict[str, Any] | None:
        """Return `encoded`, or None for a prompt without placeholders."""
        return self.encoded(model, ids, features) if len(features.tokens) else None

    def encoded(self, model: nn.Module, ids: torch.Tensor, features: Features) -> dict[str, Any]:
        """Return features as the model's argument mm_encoder_outputs.

        Args:
            model: the model.
            ids: [b, rows], the prompt, which has as many placeholders.
            features: of the visual tokens.
        """
        if self.visual_token_id(model, ids) == self.image_token_id(model):
            return {"image": self.encoder_outputs(features)}
        return {"video": self.film_outputs(features)}

    def film_outputs(self, features: Features) -> Any:
        """Wrap features for mm_encoder_outputs["video"]."""
        return self.encoder_outputs(features)

    def encoder_outputs(self, features: Features) -> Any:
        """Wrap features for the model's argument mm_encoder_outputs["image"]."""
        return BaseModelOutputWithPooling(pooler_output=[features.tokens])  # type: ignore[arg-type]

    def pre_features(self, flat: torch.Tensor, sources: Sources) -> torch.Tensor:
        """Return each visual token before the projector, [n, d_pre].

        Args:
            flat: [any, d_pre], inputs of the projector, rows joined. The default is right if these
                are one state per visual token in prompt order.
            sources: the patches of the n visual tokens.
        """
        return flat

    def sources(self, model: nn.Module, inputs: Inputs, layout: Layout) -> Sources:
        """Return the tower outputs from which each visual token is computed.

        The default: every tile of the layout is one tower row, every token one of its patches.
        """
        return Sources.grid(layout)

    def image_patches(self, model: nn.Module, inputs: Inputs) -> list[int] | None:
        """Return the patches of each image, if the tower runs all images as one sequence.

        None: every image or tile is a row of the tower's batch.
        """
        return None

    def tower_lengths(self, model: nn.Module, inputs: Inputs) -> list[int] | None:
        """Return the patches of each row of the tower's batch that are no padding.

        None: no row is padded, or padding takes part like any patch.
        """
        return None

    @abstractmethod
    def layout(
        self, model: nn.Module, processor: Any, inputs: Inputs, images: Sequence[Image.Image]
    ) -> Layout:
        """Return the place of every visual token in the prompt and in the original images."""

    def frames_per_image(self, model: nn.Module) -> int:
        """Return how many frames of a film are one image of the layout."""
        return 1

    def film_layout(self, model: nn.Module, processor: Any, inputs: Inputs, film: Film) -> Layout:
        """Return the place of every visual token of a film; an image of the layout has a time."""
        step = self.frames_per_image(model)
        times = [(part[0], part[-1]) for part in grouped(film.times, step)]
        return self.layout(model, processor, inputs, film.frames[::step]).timed(times)


def grouped(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Return consecutive groups of this size; the last one may be smaller."""
    return [items[start : start + size] for start in range(0, len(items), size)]


FAMILIES: Registry[Family] = Registry(
    "model type", "tokviz.models.families", "tokviz.families", lambda: Family
)
"""config.model_type -> family."""
F = TypeVar("F", bound=type[Family])


def family(kind: F) -> F:
    """Register a subclass of `Family` for all of its `model_types`."""
    instance = kind()
    for model_type in kind.model_types:
        FAMILIES.add(model_type, instance)
    return kind
