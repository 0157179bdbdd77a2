"""The Resource Server judged from outside: requests as bytes, answers as the texts have them.

Each module holds one group of rows. A row names the sentence it stands on, what is sent, and every
answer that sentence leaves open; nothing here is read off the implementation. A source that begins
with `contract` or `design` is a decision of this project where the specifications leave one open.
"""
