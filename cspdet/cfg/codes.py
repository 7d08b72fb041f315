"""What every code of a diagnostic means, as `cspdet explain` prints it. Rules explain themselves in their docstrings."""

from __future__ import annotations

# A code, and indented below it what it means; lines that start with dashes are headings for whoever reads this file.
_TEXT = """
-- the text
not-text
    Cfg files are text. Zero bytes mean that this is another kind of file, or that it was damaged; a `<` at the start, that
    a server sent a web page in its place.
byte-order-mark
    Windows editors put three invisible bytes before the text. Darknet reads them as part of the first line, finds no
    section there and crashes. cspdet skips them.
not-utf-8
    The file has bytes that are not UTF-8, mostly accented letters in comments of old files. They are read as Latin-1.
old-mac-line-ends
    Lines end in a carriage return alone. Darknet splits at line feeds, so it would see a single line.
no-sections
    A cfg is a list of sections, `[net]` first, then one for each layer.
unclosed-section
    A section's name stands in brackets: `[convolutional]`.
section-comment
    Darknet compares the whole line with the names it knows, comment included, and so does not find the section.
    hank-ai's Darknet and cspdet read it as a comment.
section-trailer
    Something stands behind the section's name on its line. Darknet does not recognise the section then.
option-outside-section
    An option belongs to the section above it. Before the first section there is none, and Darknet crashes.
missing-equals
    The line has no `=`. Darknet stores it as an option without a value, which nothing ever reads.
missing-key
    The line starts with `=`. Darknet stores a value without a name, which nothing ever reads.
empty-value
    Darknet refuses a line that ends behind its `=`, says `could parse` and goes on with the option's default.
comment-in-word
    AlexeyAB's and pjreddie's Darknet know no comments behind a value. Numbers survive, because C stops reading at the
    first character that does not fit; words do not: `activation=leaky # x` is the activation `leaky#x`, which is
    unknown.
comma-in-comment
    Darknet counts the commas of the whole line to learn how many layers it names, those in the comment included.
empty-item
    Nothing stands between two commas, or behind the last one. Darknet counts the commas and so reads a value there,
    which is 0.
cut-number
    C's `atoi` and `atof` read as far as the text looks like a number and ignore the rest: `2.9` is 2 where a whole
    number is read, `true` is 0, `1e3` is 1.
bad-number
    The value is not a number; or not one to hank-ai's Darknet, which knows no exponents and stops at other characters.
empty-list
    The option lists no values.
out-of-range
    The value is outside what the option can mean.
unknown-word
    The option takes one of a few words. Darknet takes a default for a word it does not know: an unknown activation is
    `relu`, an unknown policy `constant`.
duplicate-option
    An option is given twice in one section. AlexeyAB's and pjreddie's Darknet take the first, the PyTorch ports the
    last, hank-ai's Darknet refuses the file. One cfg, three behaviours: remove one.
unknown-option
    No section of that type has the option. Darknet ignores it with a remark, `Unused field`; hank-ai's refuses the
    file. It is mostly a slip of the finger, and the option that was meant keeps its default.
foreign-option
    Another Darknet has this option, but not the one the cfg is read for; it is ignored, as there. hank-ai's refuses the
    file.
foreign-section
    Another program has this section type. cspdet runs it all the same; the named Darknet cannot load the file.
missing-option
    The section cannot do without the option. Darknet crashes.
missing-file
    The option names a file that is not there. Darknet stops.
-- the authoring language
undefined-variable
    `$name` stands for a variable of `[define]`, or for a parameter of the block it is written in.
bad-expression
    `$(…)` holds arithmetic: numbers, variables, `+ - * / // % **`, comparisons, parentheses, and a few functions.
bad-name
    Variables, parameters and layers are named by letters, digits and `_`, beginning with a letter; blocks may have `-`, too.
same-name
    A name stands for one thing: one variable, one block, one layer. Within each use of a block its layers have names of
    their own. A block cannot have the name of a section.
block-end
    `[block]` begins the definition of a block, and `[end]` ends it. Definitions cannot stand within each other.
block-within
    Within a block stand the sections that it is short for; variables, blocks and includes belong to the whole file.
recursive-block
    A block that uses itself, directly or through others, would never end.
bad-repeat
    `repeat` says how many times a section is put there; with 0, it is left out.
too-many-sections
    Blocks and repetitions make more sections than any network has.
no-include
    `[include]` puts another file in its place; its path counts from the folder of the file that names it.
recursive-include
    A file that includes itself, directly or through others, would never end.
not-plain
    AlexeyAB's Darknet has no section or option for this, so the network cannot be written as plain Darknet text.
-- the network
net-first
    The first section says what the network reads; Darknet stops where it is not `[net]` or `[network]`.
net-twice
    There is one `[net]`, at the top. Of a second one, Darknet makes a layer that does nothing and crashes.
no-input
    `[net]` must say the size of the input: width, height and channels of images, or `inputs` of vectors.
no-layers
    A network has at least one layer.
too-many-layers
    More layers than any network has.
too-large
    The layer would need more memory than a 32-bit count can say. Mostly, a digit too many was typed.
unknown-section
    There is no such section type. Darknet says `Type not recognized`, makes a layer without a function, and crashes
    when it runs. Names are case-sensitive.
bad-reference
    `layers=` and `from=` name earlier layers: by their number from the first section after `[net]`, or, if negative,
    back from the section itself. Darknet does not check them and reads other memory.
batch-subdivisions
    A batch is processed in `subdivisions` equal parts; what does not divide is dropped.
steps-scales
    At each of the `steps`, the learning rate is multiplied by the scale in the same place of `scales`.
steps-order
    Darknet walks through `steps` until it meets one to come; a step behind a later one takes effect too late.
steps-beyond-end
    Training ends before the step, so the learning rate never falls there. Whoever changes `max_batches` must change
    `steps`.
-- layers
needs-image
    The layer works on a map of width and height, but what it reads is a vector. [softmax], [detection], [gru] and
    [lstm] put out vectors, and so does a [route] of maps of different sizes.
empty-output
    The map is too small for the kernel or the stride, so that no pixel is left.
groups-divide
    Channels are split into equal groups; their number must be a multiple of the groups.
group-range
    `group_id` counts from 0, so the last of n groups is n - 1.
silu
    The PyTorch forks call swish `silu`. AlexeyAB's and hank-ai's Darknet do not know the name and compute ReLU instead,
    with nothing but a line of output. cspdet computes swish, for which the weights were trained. `activation=swish` is
    the same everywhere.
newer-activation
    pjreddie's Darknet has fewer activations than AlexeyAB's, and computes ReLU for one that it does not know.
xnor-groups
    With `xnor=1`, Darknet sets `groups` to 1.
dilation-size
    Darknet announces the output's size as if there were no dilation. With an odd kernel and `pad=1` that is right; else
    it computes fewer pixels than it announces.
padded-pixel
    Darknet uses the input of a 1x1 convolution as it is, though it counts the padding into the output's size.
uneven-pixel
    Darknet's CPU code uses the input of a 1x1 convolution as it is if the step to the right is 1, whatever the step
    downwards.
one-deformation
    Darknet deforms kernels in one way at a time.
training-form
    `rep=1` trains a convolution as a sum of branches, `implicit=1` one with two learnt constants. Weights are saved as those
    of an ordinary convolution that computes the same, so there must be one.
antialiased-size
    With `antialiasing`, the stride is moved into a blur behind the layer. Darknet's table and its own bookkeeping keep
    the size before the blur, so that a [route] or [shortcut] to the layer reads past its output. cspdet uses the real
    size.
local-size
    Darknet computes the output of a [local] layer with `pad` as if its kernel were 3 pixels wide, and its patches for
    the kernel's true size. They agree without padding, and with `pad=1` and `size=3`.
output-padding
    A convolution with a stride brings maps of several sizes to one. `output_padding` of a [deconvolutional] says which of them
    is meant, by how many pixels it is larger than the smallest; so it is less than the stride.
padding-only
    `padding` of a pooling layer counts both sides together. So much of it puts whole windows outside the map.
out-channels
    `maxpool_depth` makes each output channel of several input channels, so there are at most as many.
unpool-from
    [maxunpool] puts values back where a [maxpool] took its maxima. There are no such places where a layer is no [maxpool], or
    takes its maxima over channels, or blurs them.
unpool-shape
    [maxunpool] puts each value back into the window that it stands for, so the layer before must put out as many channels, rows
    and columns as the [maxpool] did.
reorg-divide
    Squares of stride x stride pixels become channels, so the sides must be multiples of the stride; and for the
    historic order of [reorg], the channels a multiple of its square.
reorg-idle
    [reorg] makes squares of stride x stride pixels into channels, and Darknet's default for the stride is 1. The PyTorch forks
    have one stride only, 2, and their cfgs (YOLOR's, say) do not write it; read as Darknet's, such a network keeps maps of
    twice the size from there on, and costs four times as much.
upsample-divide
    With a negative stride, squares of pixels become their sums, so the sides must be multiples of it.
upsample-mode
    Interpolation and a bed of nails make a map larger. With a negative stride, [upsample] sums the pixels of squares up, in
    one way only.
reorg3d-reverse
    AlexeyAB's code for `[reorg3d] reverse=1` passes the output's size where the input's belongs. The result is no
    depth-to-space, and with too few channels it divides by zero. `[reorg] reverse=1` is a true depth-to-space.
crop-size
    The crop is cut out of the centre of the image, so it cannot be larger.
shortcut-size
    A shortcut adds maps of the same width and height. AlexeyAB's Darknet stops where they differ. pjreddie's takes
    every n-th pixel of the larger map; old ResNet cfgs rely on it, and cspdet does the same where the sizes allow.
weights-normalization
    AlexeyAB's Darknet accepts `weights_type` only together with `weights_normalization`.
scale-shape
    [scale_channels] multiplies each channel of `from` by one number, so the layer before must put out as many numbers
    as `from` has channels.
sam-shape
    [sam] multiplies two maps number by number, so they must have the same shape.
route-size
    A route joins the channels of maps of the same width and height. Of maps that differ, Darknet strings all numbers
    together with no more than a remark, and a convolution behind it cannot be built.
empty-part
    Both parts of a [partial_split] must have a channel.
state-size
    A recurrent layer's convolutions read its own state, so they must keep its size.
gpu-only
    The option exists in Darknet's GPU code only; its CPU code crashes.
contrastive-yolo
    [contrastive] takes its truths from a [yolo] layer, and Darknet follows `yolo_layer` without looking.
mask-range
    `mask` picks anchors by number, from 0 to `num` - 1. Darknet reads beyond its memory for others.
mask-twice
    `mask` names an anchor twice, so two outputs predict the same boxes.
anchors-odd
    Anchors are pairs of width and height.
anchors-num
    `num` says how many anchors there are in `anchors`, over all heads. Darknet reads `num` pairs and makes missing ones
    half a pixel large.
neighbour-cells
    YOLOv7 takes as candidates the cell of a truth's centre, the nearer one of each pair of its neighbours, or all four.
counters-classes
    `counters_per_class` has one number for each class; Darknet refuses to load the file otherwise.
bad-tree
    Each line of a class tree has a name and the number of its parent class, -1 for none; there is one line for each
    class.
detection-coords
    Darknet reads four numbers for each box of a [detection] head, whatever `coords` says.
"""


def explanations(text: str) -> dict[str, str]:
    """Code → what it means, of a text as the one above."""
    found: dict[str, list[str]] = {}
    for line in text.strip().splitlines():
        if line.startswith("    "):
            found[[*found][-1]].append(line.strip())
        elif not line.startswith("--"):
            found[line] = []
    return {code: " ".join(lines) for code, lines in found.items()}


EXPLANATIONS: dict[str, str] = explanations(_TEXT)
