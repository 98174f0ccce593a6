"""Change whole columns at once: much faster than record by record.

Set record_preprocessor_script to this file. preprocess_dataframe gets the columns as they would be
analysed, some ten thousand rows at a time, and returns a DataFrame with any columns and rows. Do not
compute anything across all rows here: the function sees one part of the data at a time. Needs pandas,
which the image contains.
"""

AGES = [0, 18, 30, 45, 65, 200]
LABELS = ["under 18", "18 to 29", "30 to 44", "45 to 64", "65 and over"]


def preprocess_dataframe(df):
    import pandas as pd

    df = df[df["environment"] != "test"].drop(columns="environment")
    df["income"] = df["income"].mask(df["income"] == -1)  # missing
    df["age_group"] = pd.cut(df["age"], AGES, right=False, labels=LABELS)
    return df
