"""What every code of a finding about annotated data means, as `cspdet explain` prints it."""

from __future__ import annotations

from cspdet.cfg.codes import explanations

# A code, and indented below it what it means; lines that start with dashes are headings for whoever reads this file.
_TEXT = """
-- the .data file
missing-names
    `names=` points to a file with the names of the classes, one per line. So does `labels=` of a classifier's data set, where
    these are the names that stand in paths. It is looked for in the working directory, as Darknet does, then beside the .data
    file and in the folder above that.
no-classes
    `classes=` says how many classes there are; without it, the names are counted.
odd-classes
    C's `atoi` reads as far as the text looks like a number and ignores the rest.
classes-names
    There must be one name for each class; otherwise results carry wrong names, or none.
name-twice
    Two classes have the same name. They are counted and evaluated apart, and nobody can tell them from each other in a
    result.
blank-name
    A line without text within the list of names is the name of a class, too, and moves all names behind it by one.
unknown-key
    Darknet looks for the keys that it knows and overlooks all others without a word, so a setting whose key has a slip counts
    as missing, and a default takes its place: weights go elsewhere, or names are not read. Where the right key is missing,
    that is an error for cspdet.
no-setting
    A line is `key = value`, or a comment that starts with `#` or `;`. Darknet finds nothing in others.
key-twice
    Of a key that is set several times, the first counts, in Darknet as here. The others change nothing.
missing-list
    `train=` and `valid=` point to lists of images. They are looked for in the working directory, as Darknet does, then beside
    the .data file and in the folder above that.
missing-map
    `map=` points to a file that says for each class which one it is in another numbering. Only Darknet's `detector valid`
    reads it, and stops where it is not there. Training takes such a file from `map=` in the head of the cfg.
unused-map
    `map=` is what Darknet's `detector valid` numbers classes by. Nothing here does: neither training nor `cspdet map` reads it,
    as Darknet's own do not.
two-kinds
    `labels=` and `top=` are what Darknet reads for classifiers only, but there are label files, which are for detectors. The
    set is looked at as a detector's, unless `--classify` says otherwise.
no-list
    The .data file names neither a list to train with nor one to validate with, so there is nothing to look at.
-- the lists of images
no-images
    The list is empty, is not text, or nothing that it names is there. Paths in it count from the working directory, as in
    Darknet, or from the list's own folder or the one above that; on another machine, absolute paths seldom fit.
missing-image
    The list names an image that is not there. Darknet stops at it in the middle of training or, in builds with OpenCV,
    trains on an empty image in its place.
bad-image
    The image cannot be decoded: it is cut, damaged, or of a kind that OpenCV does not read. Darknet stops at it in the
    middle of training or, in builds with OpenCV, trains on an empty image in its place.
listed-twice
    The same path stands in one list several times, so the image counts more than others.
in-both-parts
    An image that the network is trained with says nothing about how well it does on images it has not seen. It makes the
    average precision too good.
content-in-both-parts
    Two images of different names have the same bytes, and one is trained with, the other validated with. That makes the
    average precision too good.
same-content
    Two images of a list have the same bytes. If their labels differ, one of them is wrong.
-- the label files
missing-labels
    Each image has a label file of the same name that ends in `.txt`: beside the image, or in a folder `labels` in place of
    `images` or `JPEGImages`. Darknet takes an image without one for an image without objects, and says so in `bad.list`. If
    there is none in the image, an empty file says that it was not forgotten.
labels-elsewhere
    cspdet reads labels from `labels` in place of any folder `images`. AlexeyAB's Darknet knows that of `JPEGImages` and of
    `images/train2017`, `val2017`, `train2014` and `val2014` only, and looks beside the image for all others.
shared-labels
    The name of a label file is that of its image with another ending, so `a.jpg` and `a.png` in one folder have one label file,
    whose objects count for both. Unless the two show the same, one of them has wrong labels.
unreadable-labels
    There is a label file, but the system does not let it be read, or it is a folder.
marked-labels
    Windows editors put three invisible bytes before the text. Darknet stops reading at the first character that does not
    belong to a number, so it finds no object in the file. cspdet skips them.
empty-labels
    The label file holds no object. That is legal and useful: such images teach the network what is not an object.
malformed-label
    A label is one line of five numbers: the class, counted from 0, and the centre's x and y, the width and the height of the
    box, each as a share of the image's width or height. Darknet does not look at lines: it takes numbers five at a time, so a
    number too many or too few shifts all that follow.
negative-class
    Classes are counted from 0.
class-range
    Classes are counted from 0, so the last is one less than `classes=`. AlexeyAB's Darknet leaves the object out and says so
    in `bad_label.list`.
centre-outside
    The centre of a box lies outside the image. If the numbers are pixels, divide them by the image's width and height. If
    they are corners, compute the centre and the size from them. AlexeyAB's Darknet cuts off what lies outside, and leaves the
    object out if nothing remains.
box-size
    A width or height is not above 0, or larger than the image. AlexeyAB's Darknet leaves the first out and cuts the second
    at the image's border.
box-outside
    The box reaches beyond the image by more than rounding explains, which is a pixel or a thousandth of the side. Darknet
    cuts it at the border, which moves its centre.
tiny-box
    The box is narrower or lower than one pixel of the image, mostly a slip of the mouse. AlexeyAB's Darknet leaves out what
    is smaller than a pixel of the network's input.
duplicate-box
    The same class and the same box stand in one file twice, so the object counts twice, and one of the two can never be
    found.
no-objects
    Of all the images of the list, none has an object. Mostly the label files are elsewhere: they are looked for beside the
    image, and in a folder `labels` in place of `images` or `JPEGImages`.
class-without-objects
    No image of the list has an object of the class, so it cannot be learnt, or its average precision is 0 and lowers the
    mean.
-- the paths of a classifier's images
unclear-class
    The class of an image is the folder on its way that has the class's name. Without one, it is the one class whose name is
    part of the path, as in Darknet, which takes all that are. If there is none, or several, training leaves the image out.
class-without-images
    No image of the list shows the class, so it cannot be learnt, or nothing tells how well it is recognised.
"""

EXPLANATIONS: dict[str, str] = explanations(_TEXT)
