# Lets Doxygen read the headers' plain comments: a comment before a declaration, or behind a field, documents it. The
# headers themselves stay free of markup. A header's first comment is about the file.
1s|^/\* |/** @file\n * |
2,$s|^\( *\)/\* \(---.*\)$|\1/* \2|
t
2,$s|^\( *\)/\* |\1/** |
t trailing
s|\([]a-zA-Z0-9;,{})]\)\( *\)/\* |\1\2/**< |
:trailing
