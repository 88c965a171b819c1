"""What every figure about speed comes from: `python -m benchmarks` prints one table.

The product is measured beside floors (what the machine can do at best with the same ingredients)
in the same run, turn by turn, and their medians are compared. A figure without its floor says more
about the machine than about the product.
"""
