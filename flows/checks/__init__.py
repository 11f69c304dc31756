"""What ``corpusmith doctor`` looks at, one module a subject."""
