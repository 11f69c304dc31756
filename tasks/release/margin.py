"""How much worse a challenger may be and still count as not worse."""

# Of recall@1. Two embedders that differ in nothing but the seed answer a tenth of the documents
# differently; with 2,000 of them, the most that are asked by default, the interval of their
# difference then reaches 0.014 to each side. A smaller margin would refuse equals.
DEFAULT_MARGIN = 0.02
