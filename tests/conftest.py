"""What every test stands on."""

import os

# Read when torch is loaded: threads that spin while they wait starve the others on two cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["OMP_DYNAMIC"] = "FALSE"  # as the command line has it
