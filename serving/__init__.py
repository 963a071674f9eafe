"""The champion, used: classification of files, serving, and the command line that puts all rooms together."""
