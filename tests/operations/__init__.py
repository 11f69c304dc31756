"""All of corpusmith at work as a team has it, from servers to pages; `make operations`."""
