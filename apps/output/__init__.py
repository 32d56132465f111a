"""Items in output formats outside of the delivery queue: previews, exports, feeds."""
