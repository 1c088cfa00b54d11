"""Any policy proposes, a world model imagines each proposal."""
