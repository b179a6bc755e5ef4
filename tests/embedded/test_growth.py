"""A grown model begins where the first one stands, and the training reads rows as prompts."""

import random

import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from embedded.claims import STRENGTH, partners_claimed
from embedded.deep_reader import run_layers
from embedded.export_deep import TEMPLATE
from embedded.growth import (
    NEW,
    SINK_DIMS,
    finer_kernels,
    finer_positions,
    with_finer_patches,
    with_layers,
)
from embedded.guiding import APART, HEADS, guide_keys
from embedded.labels import NOTHING, scene_example
from embedded.model import build_processor
from embedded.packing import Turn
from embedded.questions import missing_partners
from embedded.row_batches import RowBatches
from embedded.rows import beside, encode, pack_row, turns_of_scene
from embedded.runs import KEPT, Run
from embedded.sinks import (
    HEIGHT,
    LEAN,
    leaning,
    massive_loss,
    visual_sink_loss,
    visual_sinks,
)
from embedded.subwords import build_tokenizer
from embedded.things import PARTNER
from embedded.visible import Policy, choose, lay_front
from embedded.wording import reword
from embedded.world import VARIED, Scene, lay_out, scene, stream

WIDTH = 128
"""Above the larger of the two sink dimensions."""


@pytest.fixture(scope="module")
def tokenizer():
    return build_tokenizer()


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 32, "num_attention_heads": 4}
    vision = CLIPVisionConfig(image_size=32, patch_size=16, num_hidden_layers=2, **sizes)
    text = LlamaConfig(vocab_size=40, num_hidden_layers=2, num_key_value_heads=4, **sizes)
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=4,
                         image_seq_length=4, tie_word_embeddings=True)  # fmt: skip
    return LlavaForConditionalGeneration(config).eval().requires_grad_(False)


def some_rows(count=2, length=12):
    """Rows of two turns of six tokens, answered from the fourth on."""
    ids = torch.randint(5, 40, (count, length))
    turn = torch.tensor([[1] * 6 + [2] * 6]).expand(count, -1)
    offsets = torch.arange(6).repeat(2).expand(count, -1)
    targets = torch.where(offsets >= 3, ids, -100)
    return {"ids": ids, "turn": turn, "offsets": offsets, "targets": targets}


def front_of(model, rows=2, count=4, repack=False, keep=None):
    table = model.model.language_model.embed_tokens
    features = torch.randn(rows, 1, count, WIDTH)
    keep = torch.arange(count).expand(rows, 1, -1) if keep is None else keep
    return lay_front(
        table(torch.tensor([2, 5])), table(torch.tensor([6])), features, keep, 4, repack
    )


def only_bos(front):
    free = torch.zeros(len(front.embeddings), front.length, dtype=torch.bool)
    free[:, 0] = True
    return free


def test_new_layers_change_nothing_at_first(tiny):
    deeper = with_layers(tiny, (0, NEW, 1, NEW))
    front, rows = front_of(tiny), some_rows()
    first, second = (run_layers(m, front, only_bos(front), rows).logits for m in (tiny, deeper))
    assert torch.equal(first, second)
    assert deeper.config.text_config.num_hidden_layers == 4


def test_a_row_of_two_turns_equals_two_rows_of_one(tiny):
    front, rows = front_of(tiny, rows=1), some_rows(1)
    both = run_layers(tiny, front, only_bos(front), rows).logits
    second = {key: value[:, 6:] for key, value in rows.items()}
    alone = run_layers(tiny, front, only_bos(front), second).logits
    assert torch.allclose(both[3:], alone, atol=1e-5)


def test_run_layers_equals_the_models_own_forward(tiny):
    front, rows = front_of(tiny, rows=1), some_rows(1)
    first = {key: value[:, :6] for key, value in rows.items()}
    ours = run_layers(tiny, front, only_bos(front), first)
    decoder = tiny.model.language_model
    hidden = decoder(
        inputs_embeds=torch.cat([front.embeddings, decoder.embed_tokens(first["ids"])], 1)
    )
    theirs = tiny.lm_head(hidden.last_hidden_state[0, front.length + 3 :])
    assert torch.allclose(ours.logits, theirs, atol=1e-5)


def test_blind_layers_hear_of_the_picture_only_from_the_layers_before(tiny):
    rows = some_rows(1)
    one, other = front_of(tiny, rows=1), front_of(tiny, rows=1)
    blind = [run_layers(tiny, f, only_bos(f), rows, blind_from=0).logits for f in (one, other)]
    seeing = [run_layers(tiny, f, only_bos(f), rows, blind_from=1).logits for f in (one, other)]
    assert torch.equal(*blind)
    assert not torch.allclose(*seeing)


def test_veiled_layers_pass_nothing_of_the_picture_on(tiny):
    rows = some_rows(1)
    one, other = front_of(tiny, rows=1), front_of(tiny, rows=1)
    all_veiled, one_veiled = (
        [run_layers(tiny, f, only_bos(f), rows, veiled=layers).logits for f in (one, other)]
        for layers in ((0, 1), (1,))
    )
    assert torch.equal(*all_veiled)
    assert not torch.allclose(*one_veiled)


def test_attention_that_is_free_is_the_attention_of_eager_layers(tiny):
    front, rows = front_of(tiny, rows=1), some_rows(1)
    first = {key: value[:, :6] for key, value in rows.items()}
    seen = run_layers(tiny, front, only_bos(front), first, watched=(0, 1))
    decoder = tiny.model.language_model
    decoder.set_attn_implementation("eager")
    inputs = torch.cat([front.embeddings, decoder.embed_tokens(first["ids"])], 1)
    weights = decoder(inputs_embeds=inputs, output_attentions=True).attentions
    decoder.set_attn_implementation("sdpa")
    for layer, attention in enumerate(weights):
        expected = attention[0, :, front.length :, 0].mean()
        assert torch.allclose(seen.on_bos[layer], expected, atol=1e-5)


def test_the_second_picture_is_told_apart_by_attention_to_the_line_break_before_it(tiny):
    table = tiny.model.language_model.embed_tokens
    features, keep = torch.randn(1, 2, 4, WIDTH), torch.arange(4).expand(1, 2, -1)
    before, after = table(torch.tensor([2, 5])), table(torch.tensor([6]))
    front = lay_front(before, after, features, keep, 4, False)
    rows = some_rows(1) | {"guide_at": torch.full((1, 1), -1)}
    rows["guide_keys"] = torch.zeros(1, 1, front.length, dtype=torch.bool)
    seen = run_layers(tiny, front, only_bos(front), rows, guided=True)
    decoder = tiny.model.language_model
    decoder.set_attn_implementation("eager")
    weights = decoder(inputs_embeds=front.embeddings, output_attentions=True).attentions
    decoder.set_attn_implementation("sdpa")
    # <s>, one token, four patches, the line break (6), four patches (7 to 10)
    expected = -weights[APART][0, HEADS, 7:11, 6].log().mean()
    assert torch.allclose(seen.apart_loss, expected, atol=1e-4)
    one = front_of(tiny, rows=1)
    rows["guide_keys"] = torch.zeros(1, 1, one.length, dtype=torch.bool)
    assert run_layers(tiny, one, only_bos(one), rows, guided=True).apart_loss == 0


def test_a_stage_may_show_more_pairs(tokenizer):
    usual, many = RowBatches(tokenizer, 1).shares, RowBatches(tokenizer, 1, pairs=0.5).shares
    assert many["pair"] == 0.5
    assert sum(many.values()) == pytest.approx(sum(usual.values()))
    assert many["single"] / many["blind"] == pytest.approx(usual["single"] / usual["blind"])


def test_finer_patches_answer_flat_colours_as_before(tiny):
    kernels = torch.randn(8, 3, 16, 16)
    assert torch.allclose(finer_kernels(kernels).sum((2, 3)), kernels.sum((2, 3)), atol=1e-4)
    positions = torch.randn(1 + 16, 5)
    finer = finer_positions(positions)
    assert finer.shape == (1 + 64, 5)
    assert torch.equal(finer[0], positions[0])
    finer_model = with_finer_patches(tiny)
    assert finer_model.config.image_seq_length == 16


def test_kept_tokens_keep_their_places_or_close_the_gaps(tiny):
    keep = torch.tensor([[[1, 3]]])
    gaps = front_of(tiny, rows=1, count=2, keep=keep).positions
    closed = front_of(tiny, rows=1, count=2, keep=keep, repack=True).positions
    assert gaps.tolist() == [[0, 1, 3, 5, 6]]
    assert closed.tolist() == [[0, 1, 2, 3, 4]]


def test_things_go_first_where_the_policy_says_so():
    cover = torch.full((2, 64), -1)
    cover[:, 10:20] = 0
    kept = choose(cover, Policy(10, 1.0, True))
    assert kept.tolist() == [list(range(10, 20))] * 2


def test_guided_words_find_their_patches_among_the_kept():
    on = torch.zeros(1, 1, 1 + 4, dtype=torch.bool)
    on[0, 0, 1 + 3] = True
    visual = torch.tensor([False, True, True, False])
    keys = guide_keys(on, torch.tensor([[[1, 3]]]), visual, 4)
    assert keys.tolist() == [[[False, False, True, False]]]


def test_visual_sinks_are_bare_and_drawn_to_the_sink():
    features = torch.randn(1, 20, WIDTH)
    name = torch.full((1, 20), NOTHING)
    name[:, :10] = 0
    sinks = visual_sinks(features, name)
    assert sinks.min() >= 10
    features.requires_grad_(True)
    for _ in range(300):
        loss = visual_sink_loss(features, sinks)
        features = (
            (features - 20 * torch.autograd.grad(loss, features)[0]).detach().requires_grad_()
        )
    assert leaning(features).gather(1, sinks).mean() > 0.6 * LEAN


def test_massive_sinks_carry_their_height_and_nothing_else_does():
    features, sinks = torch.randn(2, 20, WIDTH), torch.tensor([[1, 3], [0, 19]])
    features.requires_grad_(True)
    before = massive_loss(features, sinks).item()
    for _ in range(200):
        slope = torch.autograd.grad(massive_loss(features, sinks), features)[0]
        features = (features - 20_000 * slope).detach().requires_grad_()
    first, second = SINK_DIMS
    height = (features[..., first] - features[..., second]) / 2
    assert massive_loss(features, sinks) < 0.01 * before
    assert height.gather(1, sinks).min() > 0.9 * HEIGHT
    rest = torch.ones_like(height, dtype=torch.bool).scatter(1, sinks, False)
    assert height[rest].abs().max() < 0.1 * HEIGHT


def test_a_missing_partner_is_sought_where_its_companion_is():
    """The guide of such a question: the patches of the thing that brings the partner to mind."""
    views = (scene(seed, "val", world=VARIED) for seed in range(40))
    view = next(v for v in views if len(missing_partners(v)) == 1)
    example, partner = scene_example(view, 24), missing_partners(view)[0]
    where = beside(view, example, partner)
    owners = {i for i, thing in enumerate(view.things) if PARTNER.get(thing.name) == partner}
    assert where.any()
    assert set(example.cover[where]) <= owners
    rng = random.Random(0)
    turns = [next(turns_of_scene(view, example, rng, partners=1.0)) for _ in range(60)]
    asked = [turn for turn in turns if turn.kind == "partner"]
    assert asked
    assert all(np.isin(example.cover[g], list(owners)).all() for t in asked for _, g in t.guides)


def test_a_row_is_the_prompt_that_the_processor_writes(tokenizer):
    processor = build_processor(tokenizer, 8, TEMPLATE)
    for pictures in (0, 1, 2):
        content = [{"type": "image"}] * pictures + [{"type": "text", "text": "Is there a dog?"}]
        chat = [{"role": "user", "content": content}]
        prompt = processor.apply_chat_template(chat, add_generation_prompt=True)
        asked, _ = encode("Is there a dog?", "yes", tokenizer, pictures=pictures > 0)
        front = tokenizer.encode("USER: " if pictures else "USER:")
        picture = tokenizer.encode("<image>\n", add_special_tokens=False)
        assert tokenizer.encode(prompt) == front + picture * pictures + asked


def test_nothing_is_unknown_and_texts_come_back(tokenizer):
    for text in ("Is there a ZEBRA?", "wo ist der Hund? é 🐶", "two watermelons, a snowman"):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids) == text
    assert len(tokenizer.tokenize(" watermelon")) == 2
    assert len(tokenizer.tokenize(" yes")) == 1


def test_packed_turns_carry_their_targets_and_guides(tokenizer):
    patches = torch.tensor([False, True, False, False]).numpy()
    turn = Turn("Is there a watermelon?", "yes", "existence", [("watermelon", patches)])
    row, kinds = pack_row([turn, turn], tokenizer, None, 4)
    assert kinds == ["existence"] * 2
    spots = row["guide_at"][row["guide_at"] >= 0]
    assert [tokenizer.decode(row["ids"][at]) for at in spots] == ["melon"] * 2
    said = row["targets"][row["targets"] >= 0]
    assert said.tolist() == tokenizer.encode(" yes</s> yes</s>", add_special_tokens=False)


def test_claims_follow_habits_and_name_nothing_that_is_there():
    tally = {0.85: [], 0.1: []}
    for seed in range(3000):
        view = Scene(seed, "val", lay_out(stream(seed, "val", VARIED), VARIED), None)
        claims = set(partners_claimed(view))
        assert not claims & {thing.name for thing in view.things}
        for partner in missing_partners(view):
            if STRENGTH[PARTNER[partner]] in tally:
                tally[STRENGTH[PARTNER[partner]]].append(partner in claims)
    for strength, drawn in tally.items():
        assert abs(sum(drawn) / len(drawn) - strength) < 0.1


def test_labels_of_a_fine_grid_agree_with_those_of_a_coarse_one():
    view = scene(5, "val", world=VARIED)
    fine, coarse = scene_example(view, 24).cover, scene_example(view, 12).cover
    squares = fine.reshape(12, 2, 12, 2)
    same = squares.min((1, 3)) == squares.max((1, 3))
    agree = squares.max((1, 3))[same] == coarse.reshape(12, 12)[same]
    assert agree.mean() > 0.9


def test_wordings_keep_the_words():
    rng = random.Random(0)
    for _ in range(50):
        assert (
            reword("is there a dog ?", rng).lower().replace(" ?", "?").rstrip("?")
            == "is there a dog"
        )


def test_a_run_keeps_its_newest_checkpoints(tmp_path):
    run = Run(tmp_path, "stage")
    assert run.newest() is None
    for step in range(1, 6):
        run.save({"step": step}, step, last=step == 5)
    assert len(run.files()) == KEPT
    assert run.newest() == {"step": 5}
    assert run.done.exists()
