"""The agents that play the LSTM: planner, writer, memory keeper, editor."""
