"""Guided generation against plain generation, full recomputation, and exact probabilities."""

import functools

import jax
import numpy as np
import pytest

from ppt_jax.errors import UserError
from ppt_jax.models.generation import SamplingConfig, make_generate, pad_prompts
from ppt_jax.models.guided import GuidedGenerate, choose_allowed
from tests.models.test_generation import PROMPTS, SMALL, recomputed, sharp_params


def bits(mask_BV: np.ndarray) -> np.ndarray:
    """Masks as words of 32 bits, by another way than the code under test."""
    words = -(-mask_BV.shape[1] // 32)
    full = np.zeros((len(mask_BV), 32 * words), bool)
    full[:, : mask_BV.shape[1]] = mask_BV
    return np.packbits(full, axis=1, bitorder="little").view("<u4")


@functools.cache
def generator(config) -> GuidedGenerate:
    return GuidedGenerate(config)


def padded(prompts) -> tuple[np.ndarray, np.ndarray]:
    return pad_prompts(prompts, multiple=16)


class Alternating:
    """Even tokens at even steps, odd tokens at odd steps; a row ends after its own length."""

    def __init__(self, lengths, vocabulary: int, free: bool = False) -> None:
        self.lengths, self.step = np.asarray(lengths), 0
        self.vocabulary, self.free = vocabulary, free
        self.taken: list[np.ndarray] = []

    def mask(self, step: int) -> np.ndarray:
        return (np.arange(self.vocabulary) % 2 == step % 2) | self.free

    def allowed(self) -> np.ndarray:
        return bits(np.tile(self.mask(self.step), (len(self.lengths), 1)))

    def take(self, tokens_B: np.ndarray) -> np.ndarray:
        self.taken.append(tokens_B)
        self.step += 1
        return self.step >= self.lengths


def test_without_limits_it_is_plain_generation() -> None:
    params = sharp_params(SMALL)
    plain = make_generate(SMALL, SamplingConfig(max_new_tokens=8))(params, *padded(PROMPTS))
    guide = Alternating([99] * 3, SMALL.vocab_size, free=True)
    out = generator(SMALL)(params, *padded(PROMPTS), guide, limit=8)
    assert out.tokens_BG.tolist() == np.asarray(plain.tokens_BG).tolist()
    assert out.length_B.tolist() == [8] * 3
    assert not out.ended_B.any()


def test_greedy_takes_the_best_allowed_token_of_the_full_recomputation() -> None:
    params = sharp_params(SMALL)
    guide = Alternating([6, 2, 4], SMALL.vocab_size)
    out = generator(SMALL)(params, *padded(PROMPTS), guide, limit=8)
    assert out.length_B.tolist() == [6, 2, 4]
    assert out.ended_B.all()
    for row, prompt in enumerate(PROMPTS):
        tokens = out.tokens_BG[row, : out.length_B[row]].tolist()
        logits_NV = recomputed(SMALL, params, prompt, tokens)
        for step, token in enumerate(tokens):
            masked = np.where(guide.mask(step), logits_NV[step], -np.inf)
            assert token == np.argmax(masked)
        assert (out.tokens_BG[row, out.length_B[row] :] == 0).all()
    assert len(guide.taken) == 6  # ends when all rows have


def test_samples_depend_on_their_own_row_alone() -> None:
    params = sharp_params(SMALL)
    heat = np.array([1.0, 0.0, 2.0])
    seeds = np.array([7, 8, 2**32 - 1])

    def run(rows: list[int]) -> np.ndarray:
        prompts = padded([PROMPTS[row] for row in rows])
        guide = Alternating([99] * len(rows), SMALL.vocab_size)
        return generator(SMALL)(
            params, *prompts, guide, limit=8, temperature_B=heat[rows], seed_B=seeds[rows]
        ).tokens_BG

    together = run([0, 1, 2])
    turned = run([2, 0, 1])
    assert turned.tolist() == together[[2, 0, 1]].tolist()
    assert run([2, 2, 2]).tolist() == together[[2, 2, 2]].tolist()
    seeds[0] = 9
    assert run([0, 1, 2])[0].tolist() != together[0].tolist()


def test_samples_follow_the_allowed_part_of_the_softmax() -> None:
    draws, vocabulary = 20_000, 40
    logits_V = np.random.default_rng(0).normal(size=vocabulary) * 2
    mask_V = np.arange(vocabulary) % 3 == 0
    mask_V[33] = mask_V[32] = True  # the second word of bits
    for temperature in (0.7, 1.5):
        tokens = choose_allowed(
            np.tile(logits_V, (draws, 1)),
            np.tile(bits(mask_V[None]), (draws, 1)),
            jax.vmap(jax.random.key)(np.arange(draws, dtype=np.uint32)),
            3,
            np.full(draws, temperature, np.float32),
        )
        p_V = np.where(mask_V, np.exp(logits_V / temperature), 0)
        p_V /= p_V.sum()
        share_V = np.bincount(np.asarray(tokens), minlength=vocabulary) / draws
        assert (share_V[~mask_V] == 0).all()
        error_V = np.sqrt(p_V * (1 - p_V) / draws)
        assert (np.abs(share_V - p_V) <= 4.5 * error_V + 1e-9).all()


def test_bad_settings() -> None:
    params = sharp_params(SMALL)
    guide = Alternating([1] * 3, SMALL.vocab_size)
    with pytest.raises(UserError, match="limit is 0"):
        generator(SMALL)(params, *padded(PROMPTS), guide, limit=0)
    with pytest.raises(UserError, match="needs seeds"):
        generator(SMALL)(params, *padded(PROMPTS), guide, limit=1, temperature_B=np.ones(3))
