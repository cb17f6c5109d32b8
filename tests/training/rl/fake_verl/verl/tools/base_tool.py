"""verl's tool seam, as far as our tool touches it (verl 0.9, `verl/tools/base_tool.py`)."""


class BaseTool:
    def __init__(self, config, tool_schema):
        self.config, self.tool_schema = config, tool_schema
