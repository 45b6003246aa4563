"""The words of the trade as plain values: no input, no output, nothing imported from the rest of the package."""
