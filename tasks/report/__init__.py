"""Self-contained report pages: tables, figures and sentences as one HTML file."""
