/* What a model is, as plain data: filled by a family's file in arch/, read by program/. Nothing
 * here computes. */
#ifndef ARCH_SPEC_H
#define ARCH_SPEC_H

#include "format/checkpoint.h"

enum norm_kind { NORM_NONE, NORM_RMS, NORM_LAYER };
enum activation {
    ACTIVATION_NONE,
    ACTIVATION_SILU,
    ACTIVATION_GELU_TANH,
    ACTIVATION_GELU,
    ACTIVATION_RELU,
    ACTIVATION_TANH,
    ACTIVATION_RELU_SQUARED,  /* arXiv:2109.08668 */
    ACTIVATION_SWIGLU_CLAMPED /* of two, arXiv:2508.10925: g sigmoid(1.702 g) (u + 1), g cut to at
                                 most 7, u to -7 ... 7 */
};
enum residual_kind {
    RESIDUAL_SEQUENTIAL, /* x += f(n(x)) */
    RESIDUAL_PARALLEL,
    RESIDUAL_POST_NORM /* x = n(x + f(x)), arXiv:1706.03762: the post norms are of the sum */
};
enum rope_pairing {
    ROPE_ADJACENT,
    ROPE_HALVES
}; /* (2i, 2i+1) as in arXiv:2104.09864; (i, i + n/2) as in GPT-NeoX */
enum rope_scaling {
    ROPE_SCALING_NONE,
    ROPE_SCALING_LINEAR,
    ROPE_SCALING_YARN,
    ROPE_SCALING_DYNAMIC, /* the base grows with a context's longest sequence */
    ROPE_SCALING_LONGROPE /* of contexts that have longer sequences than the original context:
                             long_factors instead of freq_factors */
};

/* A weight matrix [rows][cols], y = W x: cols = dims[0]; of experts [n_experts][rows][cols]. tensor
 * NULL: the model has none here. */
struct weight_ref {
    const struct tensor *tensor;
    int id; /* index of spec.weights, assigned by spec_bind; -1 none */
};

/* A tensor that the spec refers to. */
struct weight_slot {
    const struct tensor *tensor;
    bool vector;    /* used as f32 [n], whatever its shape; else a matrix, or one for each expert */
    bool of_source; /* used for sources alone: a row that is decoded reads none of it */
};

struct norm_spec {
    enum norm_kind kind;
    float eps;
    struct weight_ref weight, bias; /* f32 vectors [n] */
};

struct linear_spec {
    struct weight_ref weight;
    struct weight_ref bias; /* [rows], or none */
};

struct rope_spec {
    int64_t n_dims; /* of a head that are rotated */
    float theta;
    enum rope_pairing pairing;
    enum rope_scaling scaling;
    float factor;                   /* linear, yarn: positions divided by it; dynamic */
    float original_context;         /* yarn, dynamic, longrope */
    float beta_fast, beta_slow;     /* yarn, arXiv:2309.00071 */
    bool exact_range;               /* yarn: the bounds of its ramp aren't rounded to whole dims */
    float attention_factor;         /* cos and sin are multiplied by it; 1 */
    struct weight_ref freq_factors; /* [n_dims / 2], each frequency is divided by its own (Llama 3's
                                       scaling, written by converters) */
    struct weight_ref long_factors; /* likewise, longrope */
};

enum norm_of_heads {
    NORM_OF_HEADS,    /* of each head, weights [head_dim] for all of them */
    NORM_OF_EACH,     /* of each head, weights of its own: [n_heads * head_dim] */
    NORM_OF_ALL_HEADS /* of all together, [n_heads * head_dim] */
};

/* Multi-head latent attention (arXiv:2405.04434, section 2.1) in absorbed form: what the keys and
 * values of all heads are made of is kept instead of them, one head that all queries share. Its key
 * is a latent vector, normed, and the rotated dims after that; its value is the latent vector. A
 * query's dims without rope are taken there by k_b, what attention gives comes back by v_b. */
struct latent_spec {
    int64_t rank;       /* of the latent vector; 0: attention is as usual */
    int64_t q_head_dim; /* of a query as attention.q gives it: dims without rope, then rotated */
    int64_t v_head_dim; /* of what attention.out takes */
    struct linear_spec q_a;  /* attention.q is of q_a_norm(q_a x) where it is there, else of x */
    struct linear_spec kv_a; /* [rank + rotated dims][n_embd] */
    struct norm_spec q_a_norm, kv_a_norm;
    struct linear_spec k_b; /* [n_heads][rank][q_head_dim - rotated dims] */
    struct linear_spec v_b; /* [n_heads][v_head_dim][rank] */
};

struct attention_spec {
    int64_t n_heads, n_kv_heads, head_dim;
    int64_t value_dim;  /* of a value; 0: head_dim */
    int64_t rope_first; /* dims of a head before those that are rotated */
    float scale;        /* of q·k */
    float softcap;      /* 0: none */
    float clamp;        /* q, k and v are cut to -clamp ... clamp, before any norm; 0: none */
    float max_bias;    /* ALiBi (arXiv:2108.12409): the largest slope is 2^(-max_bias / the power of
                          two up to n_heads); 0: none */
    bool bias_rounded; /* ALiBi as Falcon's: slopes, positions and their products are rounded to
                          BF16, and the products multiplied by `scale` */
    int64_t window;    /* keys a query sees, itself included; 0: all before it */
    bool bidirectional; /* keys behind a query too: all of its sequence, or with a window those less
                           than `window` positions away on either side. The KV stream has none. */
    int rope;           /* index of spec.ropes, -1 none */
    int kv_stream;      /* index of spec.kv_streams */
    int relative_bias;  /* 1 + index of spec.relative_biases; 0: none */
    bool cross;         /* the keys are of the sequence's source, which every query sees whole */
    struct linear_spec q, k, v, out;
    bool shares_kv; /* the keys and values are those that an earlier layer has put into this
                       stream: k and v are not there */
    struct norm_spec q_norm, k_norm;
    enum norm_of_heads norms;  /* what each of the two is of */
    bool norms_turned;         /* q and k are normed after their rotation, not before */
    struct norm_spec v_norm;   /* of each head, [value_dim] */
    struct latent_spec latent; /* of rank: n_kv_heads is 1, head_dim rank + rotated dims, value_dim
                                  rank; k and v are not there */
    struct weight_ref sinks;   /* [n_heads]: one more score of each query in its softmax, without a
                                  value (arXiv:2309.17453) */
};

static inline int64_t attention_value_dim(const struct attention_spec *attention) {
    return attention->value_dim ? attention->value_dim : attention->head_dim;
}

struct ffn_spec {
    int64_t n_ff; /* 0: none, of a layer that has experts alone */
    enum activation activation;
    bool gated; /* act(gate x) * (up x), else act(up x) */
    struct linear_spec gate, up, down;
};

enum routing { ROUTING_SOFTMAX, ROUTING_SIGMOID };
enum { EXPERTS_MAX = 1024, EXPERTS_MAX_GROUPS = 64 };

/* Mixture of experts (arXiv:1701.06538): a row's scores of all experts are the softmax, or the
 * sigmoids, of its router logits. The n_used experts of the greatest score (+ selection_bias) are
 * chosen, of equal ones the lower index; what they give is weighed by their scores alone. The
 * softmax of the chosen logits is `normalize` after the softmax of all. */
struct experts_spec {
    int64_t n_experts; /* 0: the layer has none */
    int64_t n_used;
    enum routing routing;
    bool normalize; /* weights over their sum */
    float scale;    /* of the weights, after that */
    /* Only experts of the n_groups_used best groups of n_experts / n_groups consecutive ones are
     * chosen: a group counts the sum of its group_top (1 or 2) best. n_groups 1: no limit. */
    int64_t n_groups, n_groups_used, group_top;
    struct linear_spec router;        /* weight [n_experts][n_embd] */
    struct weight_ref selection_bias; /* [n_experts] */
    struct norm_spec router_norm;     /* of what the router reads; kind NONE: ffn_norm's result */
    float router_scale;               /* of its logits; 0: none */
    struct weight_ref expert_scale;   /* [n_experts], of the weights, after `scale`; or none */
    struct ffn_spec ffn;              /* of each; biases [n_experts][rows] */
    struct norm_spec norm;            /* of what the experts read; kind NONE: ffn_norm's result */
    /* Of what the chosen ones give together, and of what the shared one gives, before both are
     * added; kind NONE: none. */
    struct norm_spec post_norm, shared_post_norm;
    /* The layer's own ffn, if it has one, is the shared expert, which every row goes to. Times the
     * sigmoid of this, weight [1][n_embd], if it is there. */
    struct linear_spec shared_gate;
};

/* The last block of layers that have an input of their own: x += n(out(act(gate x) * input)). */
struct layer_input_spec {
    struct linear_spec gate; /* [width of the input][n_embd] */
    enum activation activation;
    struct linear_spec out; /* [n_embd][width of the input] */
    struct norm_spec norm;
};

struct layer_spec {
    enum residual_kind residual;
    struct norm_spec attention_norm, post_attention_norm, ffn_norm,
        post_ffn_norm; /* kind NONE: not there */
    struct attention_spec attention;
    struct ffn_spec ffn;
    struct experts_spec experts;
    /* Between the two, in decoders of a source: attention over what the encoder gave, whose keys
     * and values are of its output. n_heads 0: none. */
    struct norm_spec cross_norm, post_cross_norm;
    struct attention_spec cross;
    struct layer_input_spec input;  /* where the model has layer_inputs */
    struct weight_ref output_scale; /* [1]: what the layer gives is multiplied by it; or none */
};

/* Inputs of the layers, `width` floats of a token for each: those of layer i are
 * scale * (embedding_scale * e + n(project x)), where x is what the first layer reads, and e and
 * the projection are the i-th of n_layers parts. */
struct layer_inputs_spec {
    int64_t width;                /* 0: the model has none */
    struct linear_spec embedding; /* weight [n_vocab or more][n_layers * width] */
    struct linear_spec project;   /* [n_layers * width][n_embd] */
    struct norm_spec norm;        /* [width] */
    float embedding_scale, scale;
};

/* A bias of the scores by a key's distance from the query, a number for each bucket of distances
 * and each head (arXiv:1910.10683, section 2.1): program/relative.c. */
struct relative_bias_spec {
    struct weight_ref table; /* [n_buckets][n_heads] as a vector */
    int64_t n_heads, n_buckets, max_distance;
    bool bidirectional; /* half of the buckets are of keys behind the query */
};

/* Whose keys a stream has, and how long they are needed. */
enum kv_kind {
    KV_GROWING, /* the sequence's own tokens: one more position with each */
    KV_FIXED,   /* the sequence's source: computed once, then only read */
    KV_PASSING  /* the source's in its encoder: until the step's end, each layer's until the next */
};

/* A sequence's hidden states to one vector. */
enum pooling_kind { POOLING_NONE, POOLING_MEAN, POOLING_FIRST, POOLING_LAST };
struct pooling_spec {
    enum pooling_kind kind;
    bool normalize; /* divided by its length */
};

/* Numbers for the pooled vector x, one a label: out n(act(dense x)). */
struct score_spec {
    int64_t n_labels;         /* 0: the model gives none */
    struct linear_spec dense; /* [n_embd][n_embd], or none */
    enum activation activation;
    struct norm_spec norm;
    struct linear_spec out; /* [n_labels][n_embd] */
};

/* One cache of keys and values. Layers may share one. */
struct kv_stream_spec {
    int64_t n_heads, key_dim, value_dim; /* value_dim 0: the values are a prefix of the keys */
    int64_t window;                      /* positions that are still needed; 0: all */
    enum kv_kind kind;
};

/* The encoder of a model that decodes what it read from a source. Its width is the decoder's. */
struct source_spec {
    int64_t n_layers;                /* 0: the model has none */
    int64_t n_vocab, context_length; /* of sources */
    float embedding_scale;
    struct linear_spec embedding; /* weight [n_vocab][n_embd], maybe the decoder's */
    struct weight_ref positions;  /* as in spec */
    int64_t position_offset;
    struct norm_spec embedding_norm;
    struct norm_spec output_norm; /* kind NONE: none */
    struct layer_spec *layers;    /* [n_layers], without cross attention */
    int32_t start_token;          /* the decoder's first token; -1: the file doesn't say */
};

struct spec_slices {
    struct spec_slices *next;
    struct tensor of[];
};

struct spec {
    const char *architecture;
    int64_t n_layers, n_embd, n_vocab, context_length;
    float embedding_scale;        /* 1: none */
    float residual_scale;         /* of what attention and FFN add; 1: none */
    float logit_scale;            /* before the softcap; 1: none */
    float logit_softcap;          /* 0: none */
    struct linear_spec embedding; /* weight [n_vocab][n_embd] */
    struct linear_spec
        embedding_in;           /* weight [n_embd][width of the embedding], of embeddings before
                                   positions are added; none where the widths are the same */
    struct linear_spec head_in; /* weight [width of the head][n_embd], of what the output norm
                                   gives; likewise */
    struct linear_spec head; /* weight [n_vocab][n_embd]; the embedding's own where they are tied;
                                none: the model gives no logits */
    struct weight_ref positions; /* [most position + position_offset][n_embd]: added to the
                                    embedding of a token at position p is row p + offset */
    int64_t position_offset;
    struct weight_ref token_types; /* [n_token_types][n_embd]: the row of a token's type is added */
    struct norm_spec embedding_norm; /* of the embedding, kind NONE: none */
    struct norm_spec output_norm;
    struct pooling_spec pooling; /* the model's own, where the host asks for no other */
    struct score_spec score;     /* of what the model's own pooling gives */
    struct layer_spec *layers;   /* [n_layers] */
    struct rope_spec *ropes;
    int n_ropes;
    struct kv_stream_spec *kv_streams;
    int n_kv_streams;
    struct relative_bias_spec *relative_biases;
    int n_relative_biases;
    struct source_spec source;
    struct layer_inputs_spec layer_inputs;
    /* Every tensor that something above refers to, each once: a backend loads these. */
    struct weight_slot *weights; /* [n_weights] */
    int n_weights;
    struct tensor *views; /* [n_views] ranges of rows of tensors that hold several weights */
    int n_views;
    struct spec_slices *slices; /* of views of experts' weights, a list */
    struct memory *memory;
};

/* Finds the family by general.architecture and reads the spec; refuses (FORMAT) numbers that don't
 * fit each other or the tensors, and (UNSUPPORTED, by name) what the family's file can't express.
 * The checkpoint must outlive the spec. */
status spec_read(struct memory *memory, const struct checkpoint *checkpoint, struct spec **spec);
void spec_free(struct spec *spec); /* NULL does nothing */
/* order [n_weights]: the slots as their tensors lie in the file, so that what is read ahead is used
 * and what is dropped stays dropped. */
void spec_file_order(const struct spec *spec, int *order);

#endif
