"""The names by which the columns of a table of images are found; the first one that is there counts."""

PATH_COLUMNS = (
    *("path", "file", "filename", "file_name", "filepath", "file_path"),
    *("image", "image_path", "image_file", "image_name", "img", "img_path"),
)
LABEL_COLUMNS = ("label", "class", "category", "target", "label_name", "class_name", "labels", "classes")
SPLIT_COLUMNS = ("split", "subset", "set", "partition")
GROUP_COLUMNS = ("group", "group_id", "patient", "patient_id", "subject", "subject_id")
