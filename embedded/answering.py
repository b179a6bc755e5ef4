"""Greedy answers of the model to many questions, with all or some visual tokens."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoProcessor, LlavaForConditionalGeneration, LlavaProcessor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from embedded.export import MODEL


class Answerer:
    """The shipped model with its processor, for many questions."""

    def __init__(self, model: LlavaForConditionalGeneration, processor: LlavaProcessor):
        self.model, self.processor = model.eval(), processor
        vision = model.config.vision_config
        self.tokens = (vision.image_size // vision.patch_size) ** 2
        "Visual tokens of a picture."

    @classmethod
    def load(cls, folder: Path = MODEL) -> "Answerer":
        """Load a model folder in float32, as the lab does."""
        model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
        return cls(model, AutoProcessor.from_pretrained(folder))

    def prompt(self, question: str) -> str:
        """Return the whole prompt of a question, by the chat template."""
        content = [{"type": "image"}, {"type": "text", "text": question}]
        chat = [{"role": "user", "content": content}]
        return self.processor.apply_chat_template(chat, add_generation_prompt=True)

    @torch.no_grad()
    def look(self, images: Sequence[Image.Image]) -> SimpleNamespace:
        """Encode pictures once.

        Returns:
            ``features`` [b, n, d] behind the projector, and ``cls`` [b, n]: attention of
            [CLS] to the patches in the feature layer, mean over heads; rows sum to at most 1.
        """
        pixel_values = self.processor.image_processor(list(images), return_tensors="pt")
        out = self.model.model.get_image_features(
            **pixel_values, output_hidden_states=True, return_dict=True
        )
        features = torch.stack(list(out.pooler_output))
        return SimpleNamespace(features=features, cls=cls_attention(self.model, out.hidden_states))

    @torch.no_grad()
    def answer(
        self, features: Tensor, texts: Sequence[str], keep: Tensor | None = None, most: int = 64
    ) -> list[str]:
        """Answer one question per row of features by greedy generation.

        Args:
            features: projected visual tokens, [questions, n, d].
            texts: the questions.
            keep: numbers of the visual tokens to keep, ascending, [questions, k]; they keep their
                positions. None = all.
            most: largest number of questions in one batch.
        """
        if keep is None:
            keep = torch.arange(self.tokens).expand(len(texts), -1)
        asked = [self.processor.tokenizer(self.prompt(text)).input_ids for text in texts]
        groups: dict[int, list[int]] = defaultdict(list)
        for i, ids in enumerate(asked):
            groups[len(ids)].append(i)
        answers = [""] * len(texts)
        for members in groups.values():
            for start in range(0, len(members), most):
                rows = members[start : start + most]
                said = self.generate([asked[i] for i in rows], features[rows], keep[rows])
                for i, text in zip(rows, said, strict=True):
                    answers[i] = text
        return answers

    def generate(self, asked: list[list[int]], features: Tensor, keep: Tensor) -> list[str]:
        """Generate for prompts of equal length with the kept visual tokens spliced in."""
        ids = torch.tensor(asked)
        count, place = keep.shape[1], asked[0].index(self.model.config.image_token_id)
        image = torch.full((len(ids), count), self.model.config.image_token_id)
        input_ids = torch.cat([ids[:, :place], image, ids[:, place + 1 :]], 1)
        rest = torch.arange(place + self.tokens, self.tokens + ids.shape[1] - 1)
        before = torch.arange(place).expand(len(ids), -1)
        position_ids = torch.cat([before, keep + place, rest.expand(len(ids), -1)], 1)
        kept = features.gather(1, keep[..., None].expand(-1, -1, features.shape[-1]))
        out = self.model.generate(
            input_ids=input_ids,
            attention_mask=torch.ones_like(input_ids),
            position_ids=position_ids,
            mm_encoder_outputs={"image": BaseModelOutputWithPooling(pooler_output=list(kept))},
        )
        said = self.processor.batch_decode(out[:, input_ids.shape[1] :], skip_special_tokens=True)
        return [text.strip() for text in said]


def cls_attention(model: LlavaForConditionalGeneration, hidden_states: Sequence[Tensor]) -> Tensor:
    """Return the attention of [CLS] to the patches in the feature layer, mean over heads, [b, n].

    Args:
        model: the model.
        hidden_states: of its vision tower, the input of the first layer included; [b, 1 + n, d].
    """
    layer = model.config.vision_feature_layer
    encoder = model.model.vision_tower.encoder.layers[layer]
    attention = encoder.self_attn
    hidden = encoder.layer_norm1(hidden_states[layer - 1])
    heads = (attention.num_heads, attention.head_dim)
    query = attention.q_proj(hidden[:, 0]).unflatten(-1, heads)
    key = attention.k_proj(hidden).unflatten(-1, heads)
    scores = torch.einsum("bhd,bthd->bht", query, key) * attention.scale
    return scores.softmax(-1).mean(1)[:, 1:]
