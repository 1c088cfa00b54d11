"""A policy that runs elsewhere: it is asked over openpi's wire, and judged as any other."""
