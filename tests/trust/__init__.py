"""How trust holds while Authorization Servers fail, lie, or change their keys."""
