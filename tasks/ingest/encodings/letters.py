"""How often letters occur in the languages that legacy encodings were made for.

Measured on translated messages of free software and on lists of frequent words. The letters of a
language stand in groups: those of the first group are near every one, and each next group is half
as frequent ("-" holds the place of an empty group). Capitals follow from the small letters.
"""

# Per language: the letters of ASCII, then all others, each measured among themselves.
LATIN = {
    "en": (
        "- - - et aoinsrh ldcum fgypwb vk - jx zq",
        "- é - - áíóü öèçàñ ãâäúôå êëøï îæùòû šćłžčìðşń",
    ),
    "fr": ("- - - e saitnruol dcpm vf qgbhj xzy - k w", "- é - àè ê ç ôî âùû - œï ë"),
    "de": ("- - - en irstadh ulcgom bfwkz pv j y - x q", "- ü äöß - - - - - - é"),
    "es": ("- - - eao snrildtc ump bgv qyhf jz x k w", "- - óáí éñú - - - - - - ü"),
    "it": ("- - - eiao ntrls cdupm gvh fzb q w yk j x", "- è à ùò éì - - - - - áíóú"),
    "pt": ("- - - aeo sridntm uclp vgf qbh zj x kyw", "- - ãç áé íêó úõ à â ô"),
    "ca": ("- - - ea srilntou dcmp vbgq fh xyj - z kw", "- - éó àíè òçú ï ü - - á ñ"),
    "nl": ("- - e n atirod slgvhmk uwjbcpz f - y - x - q", "- é ë ï - üèó åö áçí àê ãâñúä ôø"),
    "sv": ("- - - aetr nilsd omgkv fhupbc jy - - xw - z", "- ä åö - - - - - - é"),
    "da": ("- - - e rntdiaslgo kmvf uhbp jy c - w x z", "- å æø - - - - é"),
    "nb": ("- - - er tnisalod kgmv fpuhbj y - c - w xz", "- å ø æ - - - - é"),
    "is": ("- - - ari netslug mkfov hdy jbp - c - xw - z", "- - ð áíþ óöæúé - ý"),
    "fi": ("- - - ait nesloku mvr jhyp d - gb fc w z x", "ä - - - ö - - - - - å é"),
    "ga": ("- - - aih nreostcl dgmu fb p - - - jyv k wz", "- - áí éú ó"),
    "cy": ("- - - d aienyrwlo hgcsftu mb p - v - - j kz", "- - âŵô êŷ îë ï - - á"),
    "sq": ("- - - e itarsnjhmu oldkp fgv bzyq c - - - x w", "ë - - - - - - ç"),
    "eo": ("- - - aoe intsrl ukjvpmd gfb ch z - - y - w", "- ĝ ĉŝ ŭ - ĵ"),
    "et": ("- - - eai stuln okdrmv gphjb - f c - y w zq", "- ä õ ü - - - ö - šž é"),
    "lv": ("- - - ais terunk mvoldpj zbgc - f - h y w", "- ā ī ēš ū ņļ ž ģķ č"),
    "lt": ("- - - ia steornuk lmpdvj gby - cf z h - wx", "- - ė šųžąį ūč ę"),
    "pl": ("- - - aei onztswr ycdkpmjul bg h f - - v x", "- - ł ężąśóć - ń ź"),
    "cs": ("- - - eo antsli vdrkmpujchzy b - fg - xw", "- - í áěž éřčšý ů - ú ňď ťó"),
    "sk": ("- - - aoe nitsrv lkdmpuchj zby - fg - x w", "- - á žíčý šéťú ľ ôďňó ä - - ĺ"),
    "hu": ("- - - ea tlnskzoimr gydv bhjup cf - - - wx", "- - éá öó őíü ú ű"),
    "sl": ("- - - eaoi nrtsvlj kdpmz bug hc - f - y w x", "- č šž"),
    "hr": ("- - - aieo nrsjt udklvmp zbg ch - f y - w x", "- - ščž ć đ"),
    "ro": ("- - - eai rtnuclos dpm fv gbz h jx ky w", "- ă ţşțș î â"),
    "tr": ("- - - aei nrlkd tmsuyob zghv cpf - - j w - x", "- ı - üşçğ ö - - - İ - â"),
    "az": ("- - - ia nlrdstm yeuobk fvzxqh gc p - j - - w", "- ä - ıü şç ğö - İ"),
    "vi": (
        "- - - nhti cagu omlyr vkbpsed x q - fw j z",
        "- - - \u0323 ê\u0301\u0309ưôđơ\u0300âà \u0303áóă - íú ù é",
    ),
}

# Languages of other scripts: all letters, or the most frequent characters.
OTHER_SCRIPTS = {
    "ru": "- - - ое аинтсрв лкдмпу ыьябзчгй жхшю цэфщ - ёъ",
    "uk": "- - - о аниіетвр скдулмпяз ьбгйч цжхшїюєщ ф",
    "bg": "- - - аеи отнсрв длкпмз ъябгчу жйщц шхф - ю",
    "sr": "- - - аеи онтрс дквмулпј зб гшцњжч љфћх ђ",
    "be": "- - - а ніел ыркяспцтдвьмозу бэўчг шйх жюф ё ґ",
    "mk": "- - - аоеи нтср двклмп узјгб шцч жќњф - ѓх",
    "kk": "- - - а еітнырлд сзбқомкң угөұжшийғ пүяә ъ в фцхэ",
    "tg": "- - - аио рднт мусбекҳ швзлхқ фйгяӣҷ ъпёғ ӯч э",
    "el": "- - - α τεοισν ρπμκηυλί άέόγδήωχθ ύφςώβ ξζ - ψ",
    "he": "- - - יו הלתארמשב נםעחדכ קפסןגזטצ ך - ף ץ",
    "ar": "- - - ال يمنورت عبةدفكهأحقس جص خىطإذشضث زغئء ظً ّآؤ",
    "fa": "- - - اي ردنهموتب کسشل زفخگعق جحپطص آچذ غضظژث ئك",
    "th": "- - - - ่าอน้ กรเลงมีัหบ ดทยสไตวปใูจคขืิะ ุแช์็ผถำณพ ซึฟโ ญธ ฉษภศ",
    "zh_Hans": (
        "- - - - - 的 是一有在 不个了人为这你中用我以国可 对要和能会们到大他上字时来"
        "年选过该下入于请成发行地数码后生面没如密所出或也被作就么 日与说法点将应经家都输确新现前"
        "多保方已学主动户开子值其进除看自间此关它但表之得果分文理还重使小因格包本好同全正电站相删"
        "而公"
    ),
    "zh_Hant": (
        "- - - - - 的 是一有在 不個了人為這你中用我以國可 對要和能會們到大他上字時來"
        "年選過該下入於請成發行地數碼後生面沒如密所出或也被作就麼 日與說法點將應經家都輸確新現前"
        "多保方已學主動戶開子值其進除看自間此關它但表之得果分文理還重使小因格包本好同全正電站相刪"
        "而公"
    ),
    "ja": (
        "- - - - - のいしてなにで たはーるをがすまとかっれん だンらもさくこりうスあト"
        "よクルイけ せドッきそリアラどジおえやめフつタ人パわ日ち 入プシばブレ力ねテワメみじィキ"
        "オ一時マュ見ロ大用ゃデカ数ムグろェ出コ本値間サ選下以正バウ中分行上使字無効 変生事言認合"
        "文セ思"
    ),
    "ko": (
        "- - - - - 이다 는하에니가을지의고를로은 한사요아서해시기어자도있리인수습나일"
        "그들대제으세정입스게보 주라만면되비합전여용없야할드거상부오었장트했성과마번력호선안데않"
        "바우개구적신위모문와유화것내소 경된무중생원터동저공밀관미국간른계러식값진래치까당말연올"
        "체음"
    ),
}
