"""Makes tests/goldens/data/folder: a tiny llama as a Hugging Face folder that works by text, with every file beside
tokenizer.json that is read. Its weights are noise; no numbers are checked with it.

    python3 tests/goldens/make_folder.py

Needs tests/goldens/tokenizer_json; see make_tokenizer_json.py.
"""
import json
import pathlib
import random
import struct

import make_tokenizer_json as kinds

FOLDER = pathlib.Path(__file__).parent / 'data' / 'folder'
N_VOCAB, N_EMBD, N_FF = 480, 8, 8


def safetensors(tensors):
    rng = random.Random(3)
    header, data = {}, b''
    for name, shape in tensors.items():
        n = 1
        for size in shape:
            n *= size
        values = [1.0] * n if len(shape) == 1 else [round(rng.gauss(0, 0.5) * 64) / 64 for _ in range(n)]
        header[name] = {'dtype': 'F16', 'shape': shape, 'data_offsets': [len(data), len(data) + 2 * n]}
        data += struct.pack(f'<{n}e', *values)
    text = json.dumps(header).encode()
    return struct.pack('<Q', len(text)) + text + data


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)

    def write(name, value):
        (FOLDER / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + '\n')
    model = json.loads((kinds.FOLDER / 'bytes-whole.json').read_text())
    members = {name: members for name, _, members in kinds.cases()}['llama3']
    end, start, x, turn = range(len(model['vocab']), len(model['vocab']) + 4)
    members['post_processor'] = kinds.template('<|endoftext|> $A', '<|endoftext|> $A <|endoftext|>:1 $B:1', {'<|endoftext|>': end})
    write('config.json', {'model_type': 'llama', 'hidden_size': N_EMBD, 'intermediate_size': N_FF, 'num_hidden_layers': 1,
                          'num_attention_heads': 2, 'vocab_size': N_VOCAB, 'tie_word_embeddings': True, 'eos_token_id': [end, x],
                          'max_position_embeddings': 256})
    layer = {f'self_attn.{x}_proj': [N_EMBD, N_EMBD] for x in 'qkvo'}
    layer |= {'mlp.gate_proj': [N_FF, N_EMBD], 'mlp.up_proj': [N_FF, N_EMBD], 'mlp.down_proj': [N_EMBD, N_FF],
              'input_layernorm': [N_EMBD], 'post_attention_layernorm': [N_EMBD]}
    tensors = {'model.embed_tokens.weight': [N_VOCAB, N_EMBD], 'model.norm.weight': [N_EMBD]}
    tensors |= {f'model.layers.0.{name}.weight': shape for name, shape in layer.items()}
    (FOLDER / 'model.safetensors').write_bytes(safetensors(tensors))
    (FOLDER / 'tokenizer.json').write_text(json.dumps(kinds.whole_file(model, members), ensure_ascii=False, separators=(',', ':')) + '\n')
    write('tokenizer_config.json', {
        'bos_token': '<|endoftext|>', 'eos_token': {'content': '<|im_end|>', 'lstrip': False, 'normalized': False, 'rstrip': False,
                                                    'single_word': False, 'special': True},
        'pad_token': None, 'add_bos_token': False, 'model_max_length': 256,
        'added_tokens_decoder': {str(turn): {'content': '<|im_end|>', 'lstrip': False, 'normalized': False, 'rstrip': False,
                                         'single_word': False, 'special': True}},
        'chat_template': [{'name': 'default', 'template': 'not this one'},
                          {'name': 'plain', 'template': '{{ messages[0].content }}{{ eos_token }}'}]})
    write('special_tokens_map.json', {'bos_token': '<|x|>', 'pad_token': '<|im_start|>'})
    write('generation_config.json', {'eos_token_id': start})
    (FOLDER / 'chat_template.jinja').write_text(
        "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


if __name__ == '__main__':
    main()
