"""A causal language model with two layers and random weights, made in a folder in a second."""

from pathlib import Path

from trainables.pytorch_phase3 import advice


def make(folder: Path, *, hidden_size: int = 32, num_layers: int = 2, vocabulary: int = 0) -> Path:
    """Write model and tokenizer as a person would have downloaded them; return the folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = {word for text in _texts() for word in text.replace("|", " | ").split()}
    vocab = {word: index for index, word in enumerate(["<unk>", "<eos>", *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocab, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=max(vocabulary, len(vocab)),
        eos_token_id=1,
        initializer_range=0.5,  # weights small as usual would say one thing to everything
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def _texts() -> list[str]:
    return [advice.plain_prompt(context) for context in advice.EXTREMES]
